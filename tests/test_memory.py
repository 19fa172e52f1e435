"""What needs more memory than there is, is refused."""

from __future__ import annotations

import resource

import pytest

from airtune.errors import InputError
from airtune.memory import demand, total_bytes


def test_what_does_not_fit_says_what_is_needed_and_what_is_there() -> None:
    demand("x", 0.5 * total_bytes())
    with pytest.raises(InputError, match=r"^x need about .* GiB of memory, here are .* GiB$"):
        demand("x", 1.1 * total_bytes())


def test_the_limit_of_the_process_counts() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if before[1] != resource.RLIM_INFINITY and before[1] < 2**40:
        pytest.skip("the process has a limit already")
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (2**40, before[1]))
        assert total_bytes() <= 2**40
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
