"""List the licences of the pinned set, as the installed packages state them, in docs/licences.md.

    python scripts/licences.py                     of this environment
    python scripts/licences.py --path FOLDER       packages in other folders too; may be repeated

Run it after a change of constraints.txt.  A package that is pinned for an extra and not installed
keeps the line that the page has for that version; without one its licence reads "not installed".
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINNED = ROOT / "constraints.txt"
PAGE = ROOT / "docs" / "licences.md"
BEGIN, END = "<!-- licences -->", "<!-- end of licences -->"
UNKNOWN, MISSING = "unknown", "not installed"
LONGEST = 60
"""Most characters of a free text that counts as the name of a licence, not its wording."""

_NOTHING = {"", "unknown", "none", "dual license", "see license", "license"}


@dataclass(frozen=True)
class Package:
    """A pinned package: its licence, and the field of its metadata that says it."""

    name: str
    version: str
    licence: str
    stated_in: str


def licence_of(fields: Message) -> tuple[str, str]:
    """Return the licence that metadata state, and the field where it stands.

    The order is that of how binding the field is: an SPDX expression (PEP 639), the classifiers of
    the index, then free text, of which a line that is short is taken for the licence's name.

    Parameters
    ----------
    fields : Message
        The fields of a METADATA file (``importlib.metadata.metadata``).

    Returns
    -------
    licence, field : str
        `UNKNOWN` and an empty field where nothing is stated.

    Examples
    --------
    >>> fields = Message()
    >>> licence_of(fields)
    ('unknown', '')
    >>> fields["License"] = "MIT"
    >>> licence_of(fields)
    ('MIT', 'License')
    >>> fields["Classifier"] = "License :: OSI Approved :: BSD License"
    >>> licence_of(fields)
    ('BSD License', 'Classifier')
    """
    expression = (fields.get("License-Expression") or "").strip()
    if expression:
        return expression, "License-Expression"
    prefix = "License :: "
    named = [c.rsplit(" :: ", 1)[-1] for c in fields.get_all("Classifier") or () if prefix in c]
    named = sorted({name for name in named if name != "OSI Approved"})
    if named:
        return ", ".join(named), "Classifier"
    first = (fields.get("License") or "").strip().split("\n")[0].strip()
    if first.lower() not in _NOTHING and len(first) <= LONGEST:
        return first, "License"
    return UNKNOWN, ""


def pinned(text: str) -> dict[str, str]:
    """Return the versions of a constraints file by package.

    Examples
    --------
    >>> pinned("# a set\\nnumpy==2.4.6\\nPyYAML==6.0.3  # yaml\\n")
    {'numpy': '2.4.6', 'PyYAML': '6.0.3'}
    """
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {name: version for name, _, version in (x.partition("==") for x in lines if x)}


def packages(
    wanted: Mapping[str, str], paths: Sequence[str], known: Iterable[Package] = ()
) -> list[Package]:
    """Return the licence of each pinned package.

    Parameters
    ----------
    wanted : mapping of str to str
        Versions by name.
    paths : sequence of str
        Folders with installed packages.
    known : iterable of Package
        Kept for what is not installed in these versions.
    """
    found = {}
    for installed in metadata.distributions(path=list(paths)):
        # A build for one kind of processor, torch 2.13.0+cpu, is that version too.
        version = installed.version.partition("+")[0]
        found.setdefault((_plain(installed.name), version), installed.metadata)
    before = {(_plain(one.name), one.version): one for one in known}
    listed = []
    for name, version in wanted.items():
        key = _plain(name), version
        if key in found:
            listed.append(Package(name, version, *licence_of(found[key])))
        else:
            listed.append(before.get(key) or Package(name, version, MISSING, ""))
    return listed


def rows(text: str) -> list[Package]:
    """Return the packages of a page's table."""
    lines = re.findall(r"^\| `(\S+)` \| (\S+) \| (.*?) \| (.*?) ?\|$", text, re.MULTILINE)
    return [Package(name, version, licence, field) for name, version, licence, field in lines]


def table(listed: Sequence[Package]) -> str:
    """Return the table of the page, and what is not known below it."""
    lines = ["| package | version | licence | stated in |", "|---|---|---|---|"]
    lines += [f"| `{p.name}` | {p.version} | {p.licence} | {p.stated_in} |" for p in listed]
    for what, said in ((UNKNOWN, "state no licence in their metadata"), (MISSING, MISSING)):
        names = [f"`{p.name}`" for p in listed if p.licence == what]
        if names:
            verb = "are " if what == MISSING else ""
            lines += ["", f"{len(names)} of {len(listed)} {verb}{said}: {', '.join(names)}."]
    return "\n".join(lines)


def put(text: str, new: str) -> str:
    """Return a page with the text between its marks replaced."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE}: needs {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{new}\n{END}{tail}"


def _plain(name: str) -> str:
    """Return a package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Write the table between the marks of the page, and say what is not known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--path", action="append", default=[], help="folder with packages")
    asked = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    wanted = pinned(PINNED.read_text(encoding="utf-8"))
    listed = packages(wanted, [*sys.path, *asked.path], rows(page))
    PAGE.write_text(put(page, table(listed)), encoding="utf-8")
    for package in listed:
        if package.licence in (UNKNOWN, MISSING):
            print(f"{package.name} {package.version}: {package.licence}")
    print(f"{len(listed)} packages in {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
