"""Turn matplotlib's SVG into markup that lives inside the page."""

from __future__ import annotations

import re
from html import escape

METADATA = ("Creator", "Date", "Format", "Type")

_PROLOGUE = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_REMARKS = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_STYLE_SHEET = re.compile(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", re.DOTALL)
_STYLE = re.compile(r'style="([^"]*)"')
_NAMESPACE = re.compile(r'\s+xmlns(:\w+)?="[^"]*"')
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_ID = re.compile(r'\bid="([^"]+)"')
_HREF = re.compile(r'xlink:href="#([^"]+)"')
_URL = re.compile(r"url\(#([^)]+)\)")
_NO_NAME = re.compile(r"[^A-Za-z0-9-]")
_ROOT = re.compile(r"<svg\b[^>]*>")
_VIEW_BOX = re.compile(r'viewBox="([^"]*)"')


def inline(text: str, prefix: str, alt: str) -> str:
    """Return an SVG document as inline markup.

    The page's content policy forbids style attributes, so they become presentation attributes,
    which the page's style sheet can also override for dark screens.  Identifiers get a prefix,
    for several figures share one page.

    Parameters
    ----------
    text : str
        What matplotlib wrote, with text as paths.
    prefix : str
        Prefix of the identifiers, different for every figure; what is no letter, digit or hyphen
        in it is written as its code, so that they stay different.
    alt : str
        The figure in words.
    """
    text = _PROLOGUE.sub("", text, count=1)
    text = _REMARKS.sub("", text)
    # The only rules of matplotlib's own sheet; the page's sheet has them for all figures.
    text = _STYLE_SHEET.sub("", text)
    text = _STYLE.sub(lambda match: _attributes(match[1]), text)
    text = _NAMESPACE.sub("", text)
    text = _GROUP_ID.sub("<g", text)
    prefix = _NO_NAME.sub(lambda match: f"_{ord(match[0]):x}_", prefix)
    text = _ID.sub(lambda match: f'id="{prefix}-{match[1]}"', text)
    text = _HREF.sub(lambda match: f'href="#{prefix}-{match[1]}"', text)
    text = _URL.sub(lambda match: f"url(#{prefix}-{match[1]})", text)
    text = text.replace("xlink:href=", "href=")
    box = _VIEW_BOX.search(text)
    view = box[1] if box else "0 0 252 180"
    root = f'<svg class="plot" viewBox="{view}" role="img" aria-label="{escape(alt)}">'
    return _ROOT.sub(lambda _: root, text, count=1).strip()


def _attributes(rules: str) -> str:
    pairs = (rule.split(":", 1) for rule in rules.split(";") if ":" in rule)
    return " ".join(f'{name.strip()}="{value.strip()}"' for name, value in pairs)
