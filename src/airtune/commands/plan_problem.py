"""`airtune plan --problem FILE.json`: solve a planning problem and print the plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from airtune.commands.terminal import show_json
from airtune.errors import InputError, clip
from airtune.planning.problem_file import plan_problem

MOST_BYTES = 20_000_000
"""Longest file that is read: of some 50 000 clients."""


def plan_file(path: str | Path) -> dict[str, Any]:
    """Solve a planning problem file.

    Parameters
    ----------
    path : path-like
        JSON; fields as in the manual (docs/planning.md).

    Returns
    -------
    dict
        As of :func:`airtune.planning.problem_file.plan_problem`.

    Raises
    ------
    InputError
        When the file cannot be read, a field is wrong, or the budgets cannot be met.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{clip(path)}: is no file")
        if Path(path).stat().st_size > MOST_BYTES:
            raise InputError(f"{clip(path)}: is longer than {MOST_BYTES} bytes")
        text = Path(path).read_text(encoding="utf-8")
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, a name with a zero byte
        raise InputError(f"{clip(path)}: cannot be read ({clip(error)})") from None
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{clip(path)}: is not valid JSON ({clip(error)})") from None
    return plan_problem(content)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def summary(document: dict[str, Any]) -> str:
    """Return the text that is printed for the answer of :func:`plan_file`."""
    rounds, batch, bound = document["rounds"], document["batch"], document["bound"]
    parts = ", ".join(f"{name} {x:.4g}" for name, x in bound.items() if name != "total")
    gap = document["certificate"]["relative_gap"]
    return "\n".join(
        (
            f"rounds      {rounds['pretraining']} pre-training, {rounds['finetuning']} fine-tuning",
            f"batches     {batch['pretraining']}; {batch['clients']}",
            f"back-off    {document['power_backoff']:.6g}",
            f"sendings    {document['repetition']} of each symbol",
            f"bound       {bound['total']:.6g}, gap {gap:.2g}",
            f"            {parts}",
            f"latency     {document['latency_s']['total']:.6g} s",
            f"energy      {document['energy_j']['total']:.6g} J",
        )
    )


def plan_problem_and_show(file: Path, as_json: bool) -> None:
    """Solve a planning problem and print the plan; see :func:`plan_file`."""
    document = plan_file(file)
    if as_json:
        show_json(document)
        return
    print(summary(document))
