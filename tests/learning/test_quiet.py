"""What other libraries say, and when it is shown."""

from __future__ import annotations

import logging

import pytest

from airtune.learning.quiet import reports_on_success, without_remarks


def shown(work) -> list[str]:
    """Return what reaches the handler of the library while something is done."""
    from transformers.utils import logging as transformers_logging

    seen: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    ear = Ear()
    transformers_logging.add_handler(ear)
    try:
        work()
    finally:
        transformers_logging.remove_handler(ear)
    return seen


def remark(text: str) -> None:
    logging.getLogger("transformers.modeling_rope_utils").warning(text)


def test_reports_of_what_succeeds_are_shown_after_it() -> None:
    seen_inside = []

    def work() -> None:
        with reports_on_success():
            remark("odd")
            seen_inside.append(1)

    assert shown(work) == ["odd"]
    assert seen_inside == [1]


def test_reports_of_what_fails_are_not() -> None:
    def work() -> None:
        with pytest.raises(ValueError, match="wrong"), reports_on_success():
            remark("odd")
            raise ValueError("wrong")

    assert shown(work) == []
    assert shown(lambda: remark("later")) == ["later"]


def test_remarks_can_be_left_out() -> None:
    def work() -> None:
        with without_remarks():
            remark("odd")

    assert shown(work) == []
    assert shown(lambda: remark("later")) == ["later"]
