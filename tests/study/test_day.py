"""A run that is gone on with on another day, with a template that asks for the day."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from airtune import load_scenario, record
from airtune.errors import DamageWarning, InputError
from airtune.learning import chat_template
from airtune.study import cells

TEMPLATE = (
    "Day: {{ strftime_now('%d %b %Y') }}\n{% for m in messages %}{{ m.role }}: {{ m.content }}"
    "{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


class Stop:
    """Ends a run after its second round, as a kill does."""

    def preparing(self, text: str, fraction: float) -> None:
        """Nothing to show."""

    def told(self, text: str) -> None:
        """Nothing to show."""

    def round_done(self, *done: Any) -> None:
        if done[1] == 2:
            raise KeyboardInterrupt

    def cell_done(self, cell: record.Cell) -> None:
        """Nothing to show."""


def settings(folder: Path) -> list[str]:
    from airtune.learning.pretrain import fresh_model
    from airtune.learning.tokenizer import train_tokenizer
    from airtune.scenario.learning import SmallLlama

    tokenizer = train_tokenizer(["Say 0 1 2 3 user assistant Day Nov"], vocabulary=300)
    tokenizer.chat_template = TEMPLATE
    shape = SmallLlama(hidden=16, layers=1, heads=2, intermediate=32, vocabulary=300)
    fresh_model(shape, tokenizer, seed=0).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = [{"instruction": f"Say {i}", "output": f"{i}"} for i in range(20)]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return [
        *(f"model.source={folder / 'model'}", f"data.source={folder / 'data.jsonl'}"),
        *("data.partition=iid", "clients.count=2", "array.antennas=2", "placement.mode=fast"),
        *("training.rounds=4", "training.batch_size_max=2", "evaluation.records=4"),
        *("evaluation.answers=1", "schemes=[ideal]", "budget.latency_s=", "threads=1"),
    ]


def losses(folder: Path) -> list[Any]:
    lines = (folder / "ideal" / "seed-0" / "metrics.jsonl").read_text().splitlines()
    return [
        (line["round"], line["loss"], line.get("train_loss")) for line in map(json.loads, lines)
    ]


def test_it_goes_on_with_the_day_on_which_it_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.utils import chat_template_utils

    scenario = load_scenario("quickstart", settings(tmp_path))
    cells.execute(record.create(tmp_path / "whole", scenario, "run"))
    with pytest.raises(KeyboardInterrupt):
        cells.execute(record.create(tmp_path / "parted", scenario, "run"), Stop())

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime(2033, 3, 3, 12)

    class LaterDay(datetime.date):
        @classmethod
        def today(cls) -> datetime.date:
            return datetime.date(2033, 3, 3)

    monkeypatch.setattr(chat_template_utils, "datetime", Later)
    monkeypatch.setattr(chat_template.datetime, "date", LaterDay)
    cells.execute(record.open_folder(tmp_path / "parted"))
    assert losses(tmp_path / "parted") == losses(tmp_path / "whole")
    # On another day the same scenario learns other prompts: the test would see a lost day.
    cells.execute(record.create(tmp_path / "later", scenario, "run"))
    assert losses(tmp_path / "later") != losses(tmp_path / "whole")


def test_an_unfinished_run_without_a_day_is_not_gone_on_with(tmp_path: Path) -> None:
    record.create(tmp_path / "run", load_scenario("quickstart"), "run")
    path = tmp_path / "run" / "run.json"
    document = json.loads(path.read_text())
    del document["date"], document["sha256"]
    path.write_text(json.dumps(document))
    with pytest.warns(DamageWarning, match="has no seal"):
        opened = record.open_folder(tmp_path / "run")
    with pytest.raises(InputError) as error:
        record.check_resumable(opened)
    assert "names no day" in str(error.value)
