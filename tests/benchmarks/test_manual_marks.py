"""Tables of benchmarks go between marks, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

import manual

PAGE = "before\n<!-- a -->\nold\n<!-- end of a -->\nbetween\n<!-- b -->\n<!-- end of b -->\nafter\n"


def test_only_what_stands_between_the_marks_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    manual.put(page, "a", "new\nlines")
    once = page.read_text()
    assert once == PAGE.replace("\nold\n", "\nnew\nlines\n")
    manual.put(page, "a", "new\nlines")
    assert page.read_text() == once


@pytest.mark.parametrize(
    "text",
    ["", PAGE + PAGE, PAGE.replace("<!-- end of a -->", ""), "<!-- end of a -->\n<!-- a -->\n"],
)
def test_a_page_without_its_marks_is_left_alone(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="<!-- a -->"):
        manual.put(page, "a", "new")
    assert page.read_text() == text


def test_a_table_has_its_first_columns_to_the_left() -> None:
    rows = [["fixed", "1.2", "3"]]
    assert manual.table(["a", "b", "c"], rows) == [
        "| a | b | c |",
        "|---|--:|--:|",
        "| fixed | 1.2 | 3 |",
    ]
    assert manual.table(["a", "b", "c"], rows, 2)[1] == "|---|---|--:|"
    assert manual.table(["a", "b", "c"], rows, None)[1] == "|---|---|---|"
