"""The browser that pages are tested in: what is wrong with a page is found, and only that."""

from __future__ import annotations

from pathlib import Path

from browser import Browser

HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; {}">
<style>body {{ color: #111; background: #fff }} @media print {{ nav {{ display: none }} }}
@media (prefers-color-scheme: dark) {{ body {{ color: #eee; background: #111 }} }}</style></head>
<body><main><h1>Page</h1><nav>Way</nav>{}</main></body></html>"""
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
GOOD = f'<img alt="a pixel" src="{PIXEL}"><p id="wide" style="width: 400px">text</p>'
SCRIPT = """<script>console.error("meant"); console.log("said"); fetch("https://example.invalid/x").catch(() => 0);
setTimeout(() => { throw new Error("thrown") })</script>"""


def write(folder: Path, body: str, *, policy: str = "") -> Path:
    path = folder / "a page.html"
    path.write_text(HEAD.format(policy, body))
    return path


def test_a_good_page_has_nothing_against_it(browser: Browser, tmp_path: Path) -> None:
    with browser.open_page(write(tmp_path, GOOD), width=390, dark=True) as page:
        assert (page.errors, page.requests, page.axe()) == ([], [], [])
        assert page.page.evaluate("getComputedStyle(document.body).color") == "rgb(238, 238, 238)"
        assert page.scrolls_sideways()
        page.screenshot(tmp_path / "page.png")
        assert page.page.locator("nav").is_visible()
        page.as_printed()
        assert not page.page.locator("nav").is_visible()
        page.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.png").read_bytes()[16:20] == (408).to_bytes(4), "as wide as what is in it"
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_what_is_wrong_with_a_page_is_found(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "beside.png").write_bytes(b"")
    bad = f'<img src="{PIXEL}"><img alt="other" src="beside.png"><p style="color: #bbb">pale</p>{SCRIPT}'
    allowed = write(tmp_path, bad, policy="script-src 'unsafe-inline'; connect-src https:; img-src file: data:")
    with browser.open_page(allowed) as page:
        assert {"meant", "thrown"} <= set(page.errors) and "said" not in page.errors
        assert "https://example.invalid/x" in page.requests
        assert {(found.rule, found.impact) for found in page.axe()} == {
            ("image-alt", "critical"), ("color-contrast", "serious"),
        }  # fmt: skip
    with browser.open_page(write(tmp_path, bad)) as page:  # here the page's policy forbids the script
        assert page.errors and all("Content Security Policy" in error for error in page.errors)
        assert "image-alt" in {found.rule for found in page.axe()}
