"""Check the built documentation: links and images lead somewhere, nothing comes from other hosts.

    python scripts/check_site.py build/site

MkDocs checks the links of the Markdown pages; this checks what came of them, the theme included:
every link, image and anchor within the site, and that no page makes a browser ask another host for
a script, a style sheet, a font or an image.  Links to other hosts that a reader clicks are left to
the hosted check.
"""

from __future__ import annotations

import posixpath
import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

FETCHED = {
    *(("script", "src"), ("img", "src"), ("iframe", "src"), ("audio", "src")),
    *(("video", "src"), ("source", "src"), ("embed", "src"), ("object", "data"), ("use", "href")),
    *(("video", "poster"), ("track", "src"), ("image", "href"), ("image", "xlink:href")),
    *(("use", "xlink:href"), ("feimage", "href"), ("feimage", "xlink:href"), ("frame", "src")),
}
"""What a browser asks for without a click; of `link` see `ASKED_FOR`."""
ASKED_FOR = {
    *("stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch"),
    *("manifest", "modulepreload"),
}
OTHER_HOST = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_IN_CSS = re.compile(r"@import\s+(?:url\()?['\"]?([^'\")\s;]+)|url\(\s*['\"]?([^'\")]+)")

_IN_SRCSET = re.compile(r"([^\s,]\S*[^\s,])(?:\s+[^,]+)?\s*(?:,|$)")


@dataclass
class Document(HTMLParser):
    """Links, fetched addresses and anchors of a page."""

    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    in_style: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag points to."""
        given = {name: value or "" for name, value in attrs}
        self.in_style = tag == "style"
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        self.fetched += [given[name] for name in given if (tag, name) in FETCHED]
        self.fetched += styled(given.get("style", ""))
        for name in ("srcset", "imagesrcset"):  # an address, then perhaps a width or a density
            self.fetched += _IN_SRCSET.findall(given.get(name, ""))
        refresh = re.search(r"url\s*=\s*['\"]?([^'\"]+)", given.get("content", ""), re.IGNORECASE)
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh" and refresh:
            self.fetched.append(refresh[1])
        if tag == "input" and given.get("type", "").lower() == "image":
            self.fetched.append(given.get("src", ""))
        if tag == "link" and ASKED_FOR & set(given.get("rel", "").lower().split()):
            self.fetched.append(given.get("href", ""))
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])

    def handle_data(self, data: str) -> None:
        """Note what a style sheet within the page asks for."""
        if self.in_style:
            self.fetched += styled(data)


def styled(css: str) -> list[str]:
    """Return the addresses that a style sheet asks for.

    Examples
    --------
    >>> styled("@import 'a.css'; p { background: url(b.png) }")
    ['a.css', 'b.png']
    """
    return [first or second for first, second in _IN_CSS.findall(css)]


def problems(site: Path) -> list[str]:
    """Return what is wrong with a built site, a line each.

    Parameters
    ----------
    site : Path
        Folder with the pages.
    """
    pages = {}
    for path in sorted(site.rglob("*.html")):
        document = Document()
        document.feed(path.read_text(encoding="utf-8"))
        pages[path] = document
    found = []
    for path, document in pages.items():
        where = path.relative_to(site).as_posix()
        for address in [*document.fetched, *document.links]:
            if address in document.fetched and OTHER_HOST.match(address):
                found.append(f"{where}: asks another host for {address}")
                continue
            if OTHER_HOST.match(address) or re.match(r"[a-z]+:", address):
                continue
            file, anchor = urldefrag(address)
            target = _target(site, path, unquote(file.partition("?")[0]))
            if not target.exists():
                found.append(f"{where}: {address} leads nowhere")
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                found.append(f"{where}: {address} has no such anchor")
    for path in sorted(site.rglob("*.css")):
        asked = filter(OTHER_HOST.match, styled(path.read_text(encoding="utf-8")))
        where = path.relative_to(site).as_posix()
        found += [f"{where}: asks another host for {address}" for address in asked]
    if not pages:
        found.append(f"{site}: no pages")
    return found


def _target(site: Path, page: Path, file: str) -> Path:
    """Return the file that an address of a page leads to."""
    base = "/" if file.startswith("/") else page.parent.relative_to(site).as_posix()
    joined = posixpath.normpath(posixpath.join(base, file.lstrip("/"))).lstrip("/")
    target = page if not file else site / joined
    return target / "index.html" if target.is_dir() else target


def main() -> None:
    """Check the site that is named; what is wrong goes to stderr, with exit code 1."""
    site = Path(sys.argv[1] if sys.argv[1:] else "build/site")
    found = problems(site)
    for line in found:
        print(line, file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{sum(1 for _ in site.rglob('*.html'))} pages: links, images and hosts are right")


if __name__ == "__main__":
    main()
