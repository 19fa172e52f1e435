"""What MkDocs is told besides mkdocs.yml: pages and files from outside docs/, and formulas.

The pages are written for two readers: a code host, which shows them where they lie in the
repository, and the site.  A link that leaves ``docs/`` gets its target into the site: Markdown
files of the repository's root become pages, other files are copied under ``source/``, and a folder
becomes a list of its files.  Formulas
between dollars become MathML when the site is built, so that it needs no script and no fonts.
"""

from __future__ import annotations

import html
import os
import posixpath
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
"""Files of the root that are pages of the site."""

_CODE_OR_LINK = re.compile(r"^ *```.*?^ *```|`[^`\n]+`|\]\(([^)\s]+)\)", re.DOTALL | re.MULTILINE)
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def in_site(path: str) -> str:
    """Return where a file of the repository is in the site.

    Examples
    --------
    >>> in_site("docs/theory.md"), in_site("README.md"), in_site("examples/own_scheme.py")
    ('theory.md', 'overview.md', 'source/examples/own_scheme.py')
    """
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"source/{path}/index.md"
    return PAGES.get(path) or f"source/{path}"


def in_repository(site_path: str) -> str:
    """Return which file of the repository a page of the site is.

    Examples
    --------
    >>> in_repository("theory.md"), in_repository("overview.md")
    ('docs/theory.md', 'README.md')
    """
    return {page: path for path, page in PAGES.items()}.get(site_path) or f"docs/{site_path}"


def links(text: str, path: str) -> Iterator[tuple[re.Match[str], str, str]]:
    """Yield the links to files outside code blocks: match, file in the repository, anchor.

    Parameters
    ----------
    text : str
        Markdown.
    path : str
        Where it lies in the repository.
    """
    for match in _CODE_OR_LINK.finditer(text):
        target = match[1]
        if target is None or re.match(r"[a-z]+:|#", target):
            continue
        file, _, anchor = target.partition("#")
        yield match, posixpath.normpath(posixpath.join(posixpath.dirname(path), file)), anchor


def moved(text: str, path: str) -> str:
    """Return a page's text with its links as they are in the site.

    Examples
    --------
    >>> moved("[a](docs/theory.md#setting)", "README.md")
    '[a](theory.md#setting)'
    >>> moved("[a](../../examples/own_scheme.py)", "docs/api/index.md")
    '[a](../source/examples/own_scheme.py)'
    """
    folder = posixpath.dirname(in_site(path)) or "."
    parts, end = [], 0
    for match, target, anchor in links(text, path):
        link = posixpath.relpath(in_site(target), folder) + (f"#{anchor}" if anchor else "")
        parts += [text[end : match.start()], f"]({link})"]
        end = match.end()
    return "".join([*parts, text[end:]])


def files_of(folder: str) -> list[str]:
    """Return the names of the files that git has in a folder; what else lies there stays here.

    Raises
    ------
    RuntimeError
        There is no git, or the site is built outside a checkout.
    """
    git = shutil.which("git")
    if git is None:
        raise RuntimeError(f"{folder}: git, which knows the files of the folder, is not there")
    command = [git, "-C", os.fspath(ROOT), "ls-files", "-z", "--", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{folder}: its files are not known: {done.stderr.strip()}")
    under = [name.removeprefix(f"{folder}/") for name in done.stdout.split("\0") if name]
    return sorted(name for name in under if "/" not in name and (ROOT / folder / name).is_file())


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root, and the files outside docs/ that pages link to."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    linked = set()
    for file in files.documentation_pages():
        path = in_repository(file.src_uri)
        text = (ROOT / path).read_text(encoding="utf-8")
        linked |= {target for _, target, _ in links(text, path)}
    outside = {target for target in linked if not target.startswith("docs/")} - set(PAGES)
    folders = {target for target in outside if (ROOT / target).is_dir()}
    for folder in sorted(folders):
        names = files_of(folder)
        outside |= {f"{folder}/{name}" for name in names}
        listed = "".join(f"- [{name}]({name})\n" for name in names)
        page = File.generated(config, in_site(folder), content=f"# {folder}\n\n{listed}")
        page.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(page)
    for target in sorted(outside - folders):
        if (ROOT / target).is_file():
            source = os.fspath(ROOT / target)
            files.append(File.generated(config, in_site(target), abs_src_path=source))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a page to where their targets are in the site."""
    return moved(markdown, in_repository(page.file.src_uri))


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write formulas as MathML."""

    def formula(match: re.Match[str]) -> str:
        block = match[2] == "["
        return convert(html.unescape(match[3]), display="block" if block else "inline")

    return _FORMULA.sub(formula, content)
