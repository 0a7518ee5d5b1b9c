"""Pages of the site that lie outside ``docs/``, and links between them.

MkDocs knows ``docs/`` alone. Files beside it become pages and pictures at their path in the repository, while those
of ``docs/`` lie at the root of the site; so links, which are written for GitHub, are changed from the one layout to
the other. A link to anything else outside ``docs/`` stays as it is, and ``mkdocs build --strict`` refuses it.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[2]
OUTSIDE = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/RESULTS.md"]
PICTURES = "benchmarks/pictures/*.png"
EXAMPLES = "docs/examples"
EXAMPLES_PAGE = "examples.md"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(?=[)#])")
FENCE = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)  # code, where no link is one


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Headings get the anchors that GitHub gives them."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the site, with those from outside ``docs/`` and the page of the examples."""
    for path in [*map(ROOT.joinpath, OUTSIDE), *sorted(ROOT.glob(PICTURES))]:
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    files.append(File.generated(config, EXAMPLES_PAGE, content=examples_page(ROOT / EXAMPLES)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page whose links lead where the site has what they name."""
    source = page.file.src_uri
    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(lambda link: target(link[1], source), part) for part in parts[::2]]
    return "".join(parts)


def target(link: str, source: str) -> str:
    """A relative link from the page at ``source`` in the site, from one of the repository to one of the site."""
    in_repository = source if source in OUTSIDE else join("docs", source)
    named = normpath(join(dirname(in_repository), link))
    if named == EXAMPLES:
        return relpath(EXAMPLES_PAGE, dirname(source) or ".")
    if dirname(named) == EXAMPLES:
        return f"{relpath(EXAMPLES_PAGE, dirname(source) or '.')}#{anchor(named)}"
    in_site = named.removeprefix("docs/")
    return relpath(in_site, dirname(source) or ".") if (ROOT / named).exists() else link


def anchor(name: str) -> str:
    """The anchor of an example on the page of the examples."""
    return str(slugify(case="lower")(Path(name).name, "-"))


def examples_page(folder: Path) -> str:
    """Markdown of the examples, each with its source."""
    parts = ["# Examples", "The plug-ins of [Plug-ins](plugins.md) and [their other kinds](plugin-kinds.md), whole."]
    for path in sorted(folder.glob("*.py")):
        parts += [f"## {path.name}", f"```python\n{path.read_text().rstrip()}\n```"]
    return "\n\n".join(parts)
