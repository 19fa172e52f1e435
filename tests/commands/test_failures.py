"""What commands print beside their output: one line each, of at most 400 characters."""

from __future__ import annotations

import warnings

import pytest

from airtune.commands.failures import show_warning
from airtune.commands.terminal import warn
from airtune.errors import DamageWarning

LONGEST = 400


@pytest.mark.parametrize("path", ["runs/" + "q" * 400, "runs/" + "part/" * 150, "a b " * 200])
def test_a_warning_is_clipped(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{path}/seed-0: the last checkpoint is damaged ({path}); going on from the one before"
    monkeypatch.setattr(warnings, "showwarning", show_warning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show_warning)
        warnings.warn(text, DamageWarning, stacklevel=1)
    warn([text])
    first, second = capsys.readouterr().err.splitlines()
    assert first == second
    assert len(first) <= LONGEST
    assert first.startswith("airtune: warning: ")
    assert first.endswith("going on from the one before")
