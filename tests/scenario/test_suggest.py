"""Unknown settings: the one that was likely meant, by its full path."""

from __future__ import annotations

from pathlib import Path

import pytest

from airtune.errors import InputError
from airtune.scenario.file import load
from airtune.scenario.suggest import OTHER_NAMES, likely, paths


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("lora.r", "model.lora.rank"),
        ("r", "model.lora.rank"),
        ("lora_alpha", "model.lora.alpha"),
        ("lora.alpha", "model.lora.alpha"),
        ("lora.rnak", "model.lora.rank"),
        ("lr", "training.learning_rate"),
        ("training.lr", "training.learning_rate"),
        ("pretraining.lr", "pretraining.learning_rate"),
        ("batch_size", "training.batch_size_max"),
        ("training.batch_size", "training.batch_size_max"),
        ("per_device_train_batch_size", "training.batch_size_max"),
        ("epochs", "training.rounds"),
        ("rounds", "training.rounds"),
        ("num_rounds", "training.rounds"),
        ("num_clients", "clients.count"),
        ("num-clients", "clients.count"),
        ("snr", "clients.tx_power_dbm"),
        ("bandwidth", "radio.bandwidth_hz"),
        ("carrier", "radio.carrier_hz"),
        ("radio.carrier", "radio.carrier_hz"),
        ("Radio.Carrier_Hz", "radio.carrier_hz"),
        ("antennas", "array.antennas"),
        ("optimizer", "training.server_optimizer"),
        ("model_name_or_path", "model.source"),
        ("max_length", "data.max_tokens"),
        ("random_seed", "seed"),
        ("paths.count", "radio.paths.count"),
        ("radio.pathz.count", "radio.paths.count"),
        ("radio.paths.cuont", "radio.paths.count"),
        ("evalution.records", "evaluation.records"),
        ("doppler_hz", "radio.paths.doppler_hz"),
        ("faults.amplifier.clipping", "faults.amplifier.clip_db"),
        ("faults.amplifier.clip", "faults.amplifier.clip_db"),
        ("training.client_fraction", "clients.concurrency"),
        ("clipping", "training.clip_norm"),
        ("defense", "aggregation.robust"),
    ],
)
def test_the_setting_that_is_meant_is_named_in_full(written: str, meant: str) -> None:
    with pytest.raises(InputError) as caught:
        load("quickstart", [f"{written}=1"])
    assert f"unknown setting {written}; did you mean {meant}" in str(caught.value)


def test_a_name_with_several_meanings_names_all() -> None:
    assert set(likely("learning_rate")) == {
        "pretraining.learning_rate",
        "training.learning_rate",
        "zeroth_order.learning_rate",
    }


def test_without_a_likely_one_the_section_is_listed() -> None:
    with pytest.raises(InputError, match=r"allowed are engine\.name, engine\.workers"):
        load("quickstart", ["engine.zzz=3"])
    with pytest.raises(InputError, match="allowed are name, seed, seeds, schemes"):
        load("quickstart", ["qqqq=3"])


def test_other_names_lead_to_settings_and_are_none_themselves() -> None:
    known, seen = set(paths()), []
    for setting, names in OTHER_NAMES.items():
        assert setting in known
        assert not set(names.split()) & known
        seen += names.split()
    assert len(seen) == len(set(seen))
    assert all(name == name.casefold() for name in seen)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "faults=null",
            "faults = null: must be a section of settings (dropout, stragglers, antennas,",
        ),
        ("faults.dropout=30%", 'dropout = "30%": must be a section of settings (share, '),
        (
            "training.learning_rates={fixed: 0}",
            "training.learning_rates.fixed = 0: should be greater",
        ),
        ("clients.tx_power_dbm=1e6", 'clients.tx_power_dbm = "1e6": should be less than or equal'),
        (
            "clients.tx_power_dbm=[1, 1000]",
            "clients.tx_power_dbm[1] = 1000: should be less than or",
        ),
        ("aggregation.truncation_db=1e6", 'aggregation.truncation_db = "1e6": should be less than'),
        ("model.lora.target_modules=3", "target_modules = 3: should be 'all-linear' or a list"),
        (
            "budget.client_energy_j=[1, -2]",
            "budget.client_energy_j[1] = -2: should be greater than 0",
        ),
        ("array.region=[1, x]", 'array.region = [1, "x"]: must be a number in wavelengths'),
        ("array.region=4", "array.region = 4: must be a list of 2 numbers, as [4.0, 4.0]"),
        (
            "array.rotation.largest_deg=[60, 30]",
            "largest_deg = [60, 30]: must be a list of 3 numbers, as [60.0, 30.0, 0.0]",
        ),
        (
            "array.rotation.largest_deg=[60, 30, 0, 5]",
            "array.rotation.largest_deg = [60, 30, 0, 5]: must be a list of 3 numbers",
        ),
        (
            "radio.paths.scatterer_distance_m=[3]",
            "radio.paths.scatterer_distance_m = [3]: must be a list of 2 numbers or null",
        ),
    ],
)
def test_a_value_of_several_kinds_is_refused_for_the_kind_that_was_given(
    override: str, sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        load("quickstart", [override])
    assert str(caught.value).startswith("--set: ")
    assert sentence in str(caught.value)
    assert "more)" not in str(caught.value)


def test_what_the_command_line_sets_is_blamed_there_and_all_settings_are_named(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: {round: 3}\ndata: {partition: foo}\n")
    with pytest.raises(InputError, match=r"mine\.yaml: .*\(and 1 more: training\.round\)"):
        load(path)
    path.write_text("seed: 3\n")
    with pytest.raises(InputError, match=r"^--set: unknown setting lr"):
        load(path, ["lr=1"])


def test_a_rule_between_settings_blames_what_gave_the_one_that_breaks_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("array: {antennas: 4}\n")
    with pytest.raises(InputError, match=r"^--set: faults\.antennas\.dead = 4: must be less"):
        load("quickstart", ["faults.antennas.dead=4"])
    path.write_text("faults: {antennas: {dead: 4}}\n")
    with pytest.raises(InputError, match=r"mine\.yaml: faults\.antennas\.dead = 4: must be less"):
        load(path)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("faults.dropout.share=30", "should be less than or equal to 1; did you mean 30% or 0.3?"),
        ("aggregation.trim=30", "equal to 0.49; did you mean 30% or 0.3?"),
        ("faults.stragglers.deadline=2s", "must be a number without a unit, 1 .. 1e+06 or null"),
        ("faults.antennas.dead=50%", "must be a whole number without a unit, 0 .. 100000"),
        ("faults.dropout.share=nan", "should be a finite number"),
        ("faults.poison.scale=nan", "should be a finite number"),
        ("faults.poison.scale=-Inf", "should be a finite number"),
        ("training.learning_rate=nan", "should be a finite number"),
    ],
)
def test_what_is_allowed_is_said_of_shares_units_and_no_numbers(
    override: str, sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        load("quickstart", [override])
    assert str(caught.value).endswith(sentence)


@pytest.mark.parametrize("override", ["faults.dropout.share=300", "faults.restart.share=-1"])
def test_no_percent_are_suggested_where_none_are_meant(override: str) -> None:
    with pytest.raises(InputError) as caught:
        load("quickstart", [override])
    assert "did you mean" not in str(caught.value)
