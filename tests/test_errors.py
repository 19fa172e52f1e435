"""Messages show at most 200 characters of a value, whoever writes them."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.cli import main
from airtune.commands.modules import import_module
from airtune.commands.plan_problem import plan_file
from airtune.errors import LONGEST, InputError, clip, shown
from airtune.learning.formats import load_records
from airtune.placement import ProblemError, load_problems
from airtune.registry import SCHEMES, Registry
from airtune.scenario import Data, Scenario
from airtune.scenario.file import load, parse
from airtune.scenario.names import check_names
from airtune.study.sweep import parse_axes

LONG = "q" * 5000
WORDS = "qq " * 2000


PRINTED = st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs"))


@given(st.text(max_size=500))
def test_what_is_short_stays_and_what_is_long_says_how_long(text: str) -> None:
    if text.isprintable():
        stays = len(text) <= LONGEST
        assert clip(text) == text if stays else f"({len(text)} characters)" in clip(text)
    assert len(clip(text)) <= LONGEST
    assert len(shown(text)) <= LONGEST


@given(st.text(max_size=300))
def test_what_cannot_be_printed_is_escaped(text: str) -> None:
    assert clip(text).isprintable()
    assert all(line.isprintable() for line in str(InputError(text)).split("\n"))
    assert clip("a\r\x1b[2K\x85b\udc80") == r"a\r\x1b[2K\x85b\udc80"


@pytest.mark.parametrize("name", ["a\nb", "a\x85b", "a\u2028b", "a\x1b[2Jb"])
def test_a_name_with_an_end_of_line_is_told_in_one_line(name: str) -> None:
    with pytest.raises(ValueError) as caught:
        Scenario.model_validate({"radio": {"mobility": {"track_file": name}}})
    assert f"track_file = {repr(name)[1:-1]}: " in str(caught.value)


@pytest.mark.parametrize("text", ["\\'" * 8000, "'" + "\\'" * 8000 + "'x", '"' + "'." * 8000])
def test_a_message_full_of_quotes_takes_no_time(text: str) -> None:
    began = time.process_time()
    assert len(str(InputError(text))) <= 400
    assert time.process_time() - began < 2.0


def test_a_long_quote_is_clipped_among_others() -> None:
    long = "it's " * 100
    text = str(InputError(f"don't: 'a' and {long!r} or 'b'"))
    assert text.startswith("don't: 'a' and \"it's ") and text.endswith("(502 characters) or 'b'")


@given(st.text(PRINTED, max_size=150))
def test_a_message_of_short_words_stays_as_it_is(text: str) -> None:
    assert str(InputError(text)) == text


def test_prose_with_apostrophes_is_no_quotation() -> None:
    text = f"client's budget {'is spent before the end ' * 12} of the server's rounds"
    assert str(InputError(text)) == text


def echoed(error: BaseException) -> int:
    return max((len(found) for found in re.findall(r"q[q ,\[\]\"']*", str(error))), default=0)


OVERRIDES = [
    f"{LONG}=3",
    f"radio.{LONG}=3",
    f"seed={LONG}",
    f"seed.{LONG}=3",
    f"seed='{WORDS}'",
    f"name='{WORDS}'",
    f"radio.carrier_hz={LONG}",
    f"digital.bits={LONG}",
    f"aggregation.truncation_db={LONG}",
    f"bound.L={LONG}",
    f"plan={LONG}",
    f"schemes=[{', '.join(['qq'] * 3000)}]",
    f"clients.tx_power_dbm=[{', '.join(['qq'] * 3000)}]",
    f"data.template='{WORDS}'",
    f"radio={{{LONG}: 1, {LONG}: 2}}",
    f"radio=[{LONG}",
    f"model.lora={WORDS}",
    f"training={{objective: {LONG}, client_objective: {LONG}q}}",
    LONG,
    f"={LONG}",
]


@pytest.mark.parametrize("override", OVERRIDES, ids=[text[:20] for text in OVERRIDES])
def test_options(override: str) -> None:
    with pytest.raises(InputError) as caught:
        load("quickstart", [override])
    assert 0 < echoed(caught.value) <= LONGEST


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    for text in (f"{LONG}: 3", f"{LONG}: 1\n{LONG}: 2", f"extends: {LONG}", f"seed: *{LONG}", LONG):
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            load(path)
        assert echoed(caught.value) <= LONGEST
    for source in (LONG, WORDS):
        with pytest.raises(InputError) as caught:
            load(source)
        assert 0 < echoed(caught.value) <= LONGEST


@pytest.mark.parametrize(
    "settings",
    [
        {"radio": {"channel": WORDS}},
        {"clients": {"selection": WORDS}},
        {"training": {"learning_rates": {WORDS: 1}}},
        {"training": {"server_optimizer": WORDS}},
    ],
)
def test_registered_names(settings: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        check_names(Scenario.model_validate(settings))
    assert 0 < echoed(caught.value) <= LONGEST


@pytest.mark.parametrize("name", [LONG, WORDS, "q" * 100])
def test_names_of_schemes(name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_names(load("quickstart", [f"schemes=[{name!r}]"]))
    assert 0 < echoed(caught.value) <= LONGEST


def test_registries() -> None:
    own = Registry("number", "airtune.tests", {}, is_called=True)
    for call in (lambda: own[WORDS], lambda: own.remove(WORDS), lambda: own.add(LONG, LONG)):
        with pytest.raises(InputError) as caught:
            call()
        assert 0 < echoed(caught.value) <= LONGEST
    assert WORDS not in SCHEMES


def test_sweeps() -> None:
    for text in (
        f"seed_{LONG}=1",
        f"plan={LONG}",
        f"plan={WORDS}",
        f"{WORDS}=1",
        f"plan=own, '{LONG}'",
        LONG,
    ):
        with pytest.raises(InputError) as caught:
            parse_axes(load("quickstart"), [text])
        assert 0 < echoed(caught.value) <= LONGEST


def test_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("raises_words.py").write_text(f"raise RuntimeError({WORDS!r})")
    for name in (LONG, WORDS, "raises_words"):
        with pytest.raises(InputError) as caught:
            import_module(name)
        assert 0 < echoed(caught.value) <= LONGEST


def test_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    for words in (
        ["compare", LONG],
        ["compare", "x", "--seeds", LONG],
        [LONG],
        ["plan", f"--{LONG}"],
    ):
        monkeypatch.setattr("sys.argv", ["airtune", *words])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        assert 0 < echoed(ValueError(capsys.readouterr().err)) <= LONGEST


@pytest.mark.parametrize(
    "words",
    [
        ["init", LONG],
        ["report", LONG],
        ["resume", LONG],
        ["place", LONG, "--out", "x.npz"],
        ["place", "x.npz", "--out", f"{LONG}/x.npz"],
        ["plan", "--problem", LONG],
        ["compare", "quickstart", "--out", LONG],
        ["compare", "quickstart", "--set", f"data.source={LONG}", "--out", "new"],
        ["compare", "quickstart", "--set", f"model.source={LONG}", "--out", "new"],
    ],
    ids=lambda words: " ".join(words)[:50],
)
def test_names_that_no_file_can_have(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["airtune", *words])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("airtune: ") and told.count("\n") == 1
    assert 0 < echoed(ValueError(told)) <= LONGEST


def test_planning_problem_files(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    for content in ({LONG: 1}, {"rounds_max": WORDS}, WORDS, {"bound": {WORDS: 1}}):
        path.write_text(json.dumps(content))
        with pytest.raises(InputError) as caught:
            plan_file(path)
        assert echoed(caught.value) <= LONGEST


def test_placement_files(tmp_path: Path) -> None:
    names = ("gains", "directions", "weights", "powers", "noise", "interferer_gains")
    arrays = dict.fromkeys((*names, "interferer_directions", "interferer_powers"), np.zeros((1, 1)))
    path = tmp_path / "p.npz"
    np.savez(path, **arrays, antennas=np.array(WORDS), region=np.ones(2), spacing=np.array(0.5))
    with pytest.raises(ProblemError, match="antennas must be a number") as caught:
        load_problems(path)
    assert 0 < echoed(caught.value) <= LONGEST


def test_records(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({f"qq{'q' * (n % 7)} {n}": "x" for n in range(3000)}) + "\n")
    with pytest.raises(InputError, match="has no field 'instruction'") as caught:
        load_records(Data(source=str(path)))
    assert len(str(caught.value)) < 300 + len(str(path))
    with pytest.raises(InputError) as caught:
        load_records(Data(source=WORDS[:240]))  # a name that a file could have
    assert 0 < echoed(caught.value) <= LONGEST


def test_rules_between_settings() -> None:
    with pytest.raises(InputError) as caught:
        parse({"clients": {"tx_power_dbm": [0.0] * 3000}})
    assert len(str(caught.value)) < 300
    with pytest.raises(InputError) as caught:
        parse({"data": {"sizes": [1.0] * 3000}})
    assert len(str(caught.value)) < 300
