"""Licences are read from metadata as they stand there; what is not known is said."""

from __future__ import annotations

import runpy
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "licences.py"))
BSD = "License :: OSI Approved :: BSD License"


def fields(*pairs: tuple[str, str]) -> Message:
    message = Message()
    for name, value in pairs:
        message[name] = value
    return message


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ([("License-Expression", "MIT OR Apache-2.0"), ("Classifier", BSD)], "MIT OR Apache-2.0"),
        ([("License", "BSD 3-Clause"), ("Classifier", BSD)], "BSD License"),
        ([("Classifier", BSD), ("Classifier", "License :: Public Domain")],
         "BSD License, Public Domain"),
        ([("Classifier", "License :: OSI Approved"), ("License", "ISC")], "ISC"),
        ([("License", "MIT License\n\nPermission is hereby granted")], "MIT License"),
        ([("License", "Copyright (c) 2020 by everybody who has ever worked on this package")],
         "unknown"),
        ([("License", "UNKNOWN")], "unknown"),
        ([("License", "Dual License")], "unknown"),
        ([("Classifier", "Programming Language :: Python")], "unknown"),
        ([], "unknown"),
    ],
)  # fmt: skip
def test_the_most_binding_field_counts(stated: list[tuple[str, str]], found: str) -> None:
    licence, field = SCRIPT["licence_of"](fields(*stated))
    assert licence == found
    assert bool(field) == (licence != "unknown")


def install(folder: Path, name: str, version: str, licence: str) -> None:
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    text = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{licence}\n"
    (place / "METADATA").write_text(text)


def test_installed_packages_are_listed_and_others_said_so(tmp_path: Path) -> None:
    install(tmp_path, "Some-Package", "1.2", "License-Expression: MIT")
    install(tmp_path, "silent", "3", "Summary: says nothing")
    install(tmp_path, "other", "9+cpu", "License-Expression: ISC")
    install(tmp_path, "for-cpus", "7+cpu", "License-Expression: ISC")
    wanted = SCRIPT["pinned"](
        "# all\nsome_package==1.2\nsilent==3\nother==8\nkept==5\nabsent==1\nfor-cpus==7\n"
    )
    kept = SCRIPT["Package"]("kept", "5", "0BSD", "License")
    listed = SCRIPT["packages"](wanted, [str(tmp_path)], [kept])
    expected = ["MIT", "unknown", "not installed", "0BSD", "not installed", "ISC"]
    assert [package.licence for package in listed] == expected
    text = SCRIPT["table"](listed)
    assert "| `some_package` | 1.2 | MIT | License-Expression |" in text
    assert "1 of 6 state no licence in their metadata: `silent`." in text
    assert "2 of 6 are not installed: `other`, `absent`." in text
    page = SCRIPT["put"]("head\n<!-- licences -->\nold\n<!-- end of licences -->\ntail\n", text)
    assert page.startswith("head\n") and page.endswith("tail\n") and "old" not in page
    assert SCRIPT["rows"](page) == listed, "what the page says is read again"
    with pytest.raises(ValueError, match="needs"):
        SCRIPT["put"]("no marks", text)


def test_the_page_lists_what_is_pinned_now() -> None:
    wanted = SCRIPT["pinned"]((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    listed = SCRIPT["rows"](page)
    assert {package.name: package.version for package in listed} == wanted, (
        "run python scripts/licences.py"
    )
    here = {
        (d.name.lower(), d.version.partition("+")[0]): d.metadata for d in metadata.distributions()
    }
    for package in listed:
        installed = here.get((package.name.lower(), package.version))
        if installed is not None:
            assert (package.licence, package.stated_in) == SCRIPT["licence_of"](installed)
