"""What terminal and page say of faults: which were on, whose the target is, rounds left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from airtune.commands.app import app
from airtune.report.faults import fault_rows, fault_sentences, fault_words
from airtune.report.reasons import reasons
from airtune.scenario.file import load

POISON = ("faults.poison.kind=sign-flip", "faults.poison.share=30%")


def results(*settings: str, target: float | None = 0.9) -> dict[str, Any]:
    return {"scenario": load("quickstart", settings).to_dict(), "target_loss": target}


def test_a_run_without_faults_says_nothing() -> None:
    assert fault_sentences(results()) == fault_sentences({}) == []


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("faults.dropout.share=10%", "dropouts."),
        ("faults.stragglers.share=10%", "stragglers."),
        ("faults.antennas.stuck=1", "antennas."),
        ("faults.antennas.backlash=0.02", "antennas."),
        ("faults.synchronisation.timing=0.05", "phase or timing errors."),
        ("faults.amplifier.clip_db=0", "clipping (at 0 dB, in every round)."),
        ("faults.amplifier.clip_db=-3", "clipping (at -3 dB, in every round)."),
        ("faults.jammer.share=10%", "jammer."),
        ("faults.broadcast.share=10%", "lost broadcasts."),
        ("faults.side_information.csi_share=10%", "wrong reports or channels."),
        ("faults.restart.share=10%", "restarts."),
    ],
)
def test_each_fault_is_named(setting: str, told: str) -> None:
    said = fault_sentences(results(setting))
    assert said[0] == f"Faults in this run: {told}"
    assert said[1].startswith("The target is that of ideal under the same faults")
    assert fault_sentences(results(setting, target=None)) == said[:1]


def test_poisoned_clients_are_in_the_target() -> None:
    assert fault_sentences(results(*POISON)) == [
        "The target is that of ideal with the same poisoned clients."
    ]
    (_, said) = fault_sentences(results(*POISON, "faults.jammer.share=10%"))
    assert "with the same faults and poisoned clients" in said


def test_the_bias_of_poisoned_clients_has_a_column() -> None:
    entry = {"faults": {"participation": 1.0, "poison_bias": 58.0, "bias": 58.4}}
    assert "bias of poisoned clients 58.0" in fault_words(entry)
    assert "Bias of poisoned clients" in fault_rows({"schemes": {"movable": entry}}).columns


def test_rounds_without_a_step_stand_where_the_loss_had_stopped_falling() -> None:
    history = [{"round": t, "loss": x} for t, x in enumerate([5.0, 3.0, 2.0, 2.0, 2.0])]
    entry = {"history": history, "rounds": 4, "rejected_rounds": 2}
    told = {"target_loss": 1.0, "seeds": 1, "schemes": {"movable": entry}}
    (said,) = reasons(told)
    assert said.endswith("after 4 rounds; 2 of 4 rounds without a step (anomaly stop).")
    gone = entry | {"diverged": True, "initial_loss": 5.0, "final_loss": 9.0}
    (said,) = reasons(told | {"schemes": {"movable": gone}})
    assert said.startswith("movable diverged: its loss rose")
    assert said.endswith("; 2 of 4 rounds without a step (anomaly stop).")


def test_compare_tells_of_faults_below_its_table(
    small_scenario: Any, quadratic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("small.yaml").write_text(yaml.safe_dump(small_scenario.to_dict()))
    faults = ("--set", "faults.amplifier.clip_db=3", "--set", "faults.poison.kind=sign-flip")
    done = CliRunner().invoke(app, ["compare", "small.yaml", *faults, "--out", "run"])
    assert done.exit_code in (0, 1), done.output
    assert "Faults in this run: clipping (at 3 dB, in every round)." in done.stdout
    assert "Poisoned: 1 of" in done.stdout
    page = Path("run/report.html").read_text()
    assert "Faults in this run: clipping (at 3 dB, in every round)." in page
    assert "Bias of poisoned clients" in page
    assert "older adapters and poisoned clients." in page
