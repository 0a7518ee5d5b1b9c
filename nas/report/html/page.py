"""The page itself: head, style, script, and sections that a table of contents leads to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from nas import __version__
from nas.report.html.markup import Markup, joined, tag

GENERATOR = "nasctl report"


@dataclass(frozen=True)
class Section:
    """Of a page; one without a body is left out."""

    id: str
    title: str
    body: Markup | None


def page(title: str, heading: Markup, sections: Iterable[Section], *, again_in: int | None = None) -> str:
    """The whole document. ``again_in``: seconds after which a browser reads it again, for a run that is not done."""
    present = [section for section in sections if section.body]
    style, script = _asset("style.css"), _asset("script.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; "
        f"script-src 'sha256-{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    head = joined(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=f"{GENERATOR} {__version__}"),
        tag("meta", http_equiv="refresh", content=str(again_in)) if again_in else None,
        tag("title", title),
        tag("style", Markup(style)),
    )
    links = [tag("li", tag("a", section.title, href=f"#{section.id}")) for section in present]
    main = [tag("section", tag("h2", section.title), section.body, id=section.id) for section in present]
    body = joined(
        tag("a", "To the answer", href=f"#{present[0].id}", class_="skip") if present else None,
        tag("header", tag("h1", title), heading),
        tag("nav", tag("ul", links), aria_label="Contents"),
        tag("main", main),
        tag("footer", f"Written by nasctl {__version__}. The page works offline; nothing in it was sent anywhere."),
        tag("div", id="tip", role="status", hidden=True),
        tag("script", Markup(script)),
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def side_by_side(*parts: Markup | None) -> Markup | None:
    """Pictures in two columns where there is room; None without any."""
    present = [part for part in parts if part]
    return tag("div", present, class_="grid2") if present else None


@cache
def _asset(name: str) -> str:
    return files("nas.report.html").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
