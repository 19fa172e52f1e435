"""What `airtune place` does: problems from a file, placements to a file, a summary back."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from airtune.commands.terminal import show_json, show_rows
from airtune.errors import InputError, computable
from airtune.npz import check_target
from airtune.placement.files import load_problems, save_placements
from airtune.placement.lattice import lattice
from airtune.placement.problem import Placement, Problem, ProblemError
from airtune.placement.solver import check_choice, solve, solve_many
from airtune.placement.wide_files import load_blocks, save_wide
from airtune.placement.wideband import WidebandPlacement, place_wideband
from airtune.record.whole import written_whole


def place_file(
    path: str | Path,
    out: str | Path,
    mode: str = "default",
    method: str = "auto",
    certify: bool = False,
    seed: int = 0,
    threads: int = 1,
) -> dict[str, Any]:
    """Solve every instance of a problem file and write the placements.

    Parameters
    ----------
    path, out : str or Path
        Input and output .npz (format: `files.load_problems`, `files.save_placements`; with
        resource blocks `wide_files.load_blocks`, `wide_files.save_wide`).
    mode : {"fast", "default", "exhaustive"}
    method : {"auto", "pdd", "smooth", "sqp"}
    certify : bool
        Add an upper bound on the worst gain that holds for the continuous problem.
    seed : int
    threads : int
        The answers do not depend on it.

    Returns
    -------
    dict
        The document of `--json`: `instances` (worst_gain, worst_gain_db, mse, seconds,
        upper_bound, bound_kind, gap_db), `summary` and `warm_up_seconds`: the first instance is
        solved once beforehand, so that compilation is in no instance's time.

    Raises
    ------
    ProblemError
        On bad input, with one message.
    """
    mode, method = mode.lower(), method.lower()
    check_choice(mode, method)
    if threads < 1:
        raise ProblemError(f"threads must be at least 1, not {threads}")
    if seed < 0:
        raise ProblemError(f"seed must not be negative, not {seed}")
    try:
        target = check_target(out)
    except InputError as error:
        raise ProblemError(str(error)) from error
    blocks = load_blocks(path)
    if blocks is not None and method not in ("auto", "sqp"):
        raise ProblemError(
            f"method must be auto or sqp for a file with resource_blocks, not {method}"
        )
    problems = load_problems(path) if blocks is None else [own[0] for own in blocks]
    with computable(str(path)):
        began = time.perf_counter()
        for problem in problems[:1]:
            solve(problem, mode="fast", method=method, seed=seed, certify=certify)
        warm_up = time.perf_counter() - began
        if blocks is None:
            placements: Sequence[Placement | WidebandPlacement] = solve_many(
                problems, mode=mode, method=method, seed=seed, threads=threads, certify=certify
            )
        else:
            job = partial(_wide, mode=mode, seed=seed, certify=certify)
            with ThreadPoolExecutor(threads) as pool:
                placements = list(pool.map(job, blocks))
    there = Path(os.path.realpath(target))  # what a link leads to is written, and keeps its mode
    with written_whole(there) as new:
        if there.exists():
            shutil.copymode(there, new)
        _save(new, placements)
    instances = [_row(placement) for placement in placements]
    return {
        "file": str(path),
        "out": str(out),
        "mode": mode,
        "method": method,
        "seed": seed,
        "warm_up_seconds": warm_up,
        "instances": instances,
        "summary": _summary(instances),
    }


def _wide(blocks: list[Problem], **options: Any) -> WidebandPlacement:
    """Place the antennas for the resource blocks of an instance."""
    first = blocks[0]
    start = lattice(first.antennas, first.region, first.spacing)
    return place_wideband(blocks, start, **options)


def _save(target: Path, placements: Sequence[Placement | WidebandPlacement]) -> None:
    wide = [one for one in placements if isinstance(one, WidebandPlacement)]
    if wide:
        save_wide(target, wide)
    else:
        save_placements(target, [one for one in placements if isinstance(one, Placement)])


def _db(value: float | None) -> float | None:
    """Decibels of a power ratio; None where they are not finite."""
    if value is None or not 0 < value < math.inf:
        return None
    return 10 * math.log10(value)


def _row(placement: Placement | WidebandPlacement) -> dict[str, Any]:
    gain, bound = placement.worst_gain, placement.upper_bound
    finite = math.isfinite(gain)
    return {
        "worst_gain": gain if finite else None,
        "worst_gain_db": _db(gain),
        "mse": 1 / gain if finite else 0.0,
        "seconds": placement.seconds,
        "upper_bound": bound,
        "upper_bound_db": _db(bound),
        "bound_kind": placement.bound_kind,
        "gap_db": _db(bound / gain) if bound is not None and finite else None,
        "method": placement.method,
    }


def _summary(instances: list[dict[str, Any]]) -> dict[str, Any]:
    gains = [row["worst_gain_db"] for row in instances if row["worst_gain_db"] is not None]
    gaps = [row["gap_db"] for row in instances if row["gap_db"] is not None]
    return {
        "instances": len(instances),
        "median_gain_db": float(np.median(gains)) if gains else None,
        "least_gain_db": min(gains) if gains else None,
        "median_gap_db": float(np.median(gaps)) if gaps else None,
        "seconds": sum(row["seconds"] for row in instances),
    }


_GAINS = {"worst_gain_db": "gain [dB]", "upper_bound_db": "bound [dB]", "seconds": "seconds"}


def show_placements(document: dict[str, Any], as_json: bool) -> None:
    """Print the answer of :func:`place_file`."""
    if as_json:
        show_json(document)
        return
    rows = ([row.get(name) for name in _GAINS] for row in document["instances"])
    show_rows(
        ("instance", *_GAINS.values()),
        (
            (str(index), *("" if x is None else f"{x:.3f}" for x in row))
            for index, row in enumerate(rows)
        ),
    )
    print(f"wrote {document['out']}")
