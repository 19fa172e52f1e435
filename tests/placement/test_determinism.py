"""The same problem gives the same bits: in one process, in another, compiled or from the cache."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from airtune.placement import Problem, beamform, solve


def some_problem(seed: int, antennas: int = 4) -> Problem:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)

    return Problem(
        gains=normal(10, 10),
        directions=rng.uniform(-0.7, 0.7, (10, 10, 2)),
        weights=np.full(10, 0.1),
        powers=np.ones(10),
        noise=1.0,
        interferer_gains=normal(2, 10),
        interferer_directions=rng.uniform(-0.7, 0.7, (2, 10, 2)),
        interferer_powers=np.ones(2),
        antennas=antennas,
        region=np.array([4.0, 4.0]),
        spacing=0.5,
    )


def bits(seed: int) -> list[str]:
    """Solve one problem and return every digit of the answer."""
    problem = some_problem(seed)
    placed = solve(problem, mode="fast", seed=1)
    fixed = beamform(problem, placed.positions)
    numbers = [*placed.positions.ravel(), placed.worst_gain, fixed.worst_gain]
    return [float(number).hex() for number in numbers]


def test_repeated_solves_agree_bit_for_bit_wherever_memory_lies() -> None:
    first = bits(0)
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(40):
        # shift the addresses that the next allocations get
        kept.append(np.empty(int(rng.integers(1, 5000)), dtype=np.uint8))
        assert bits(0) == first


def test_another_process_agrees_bit_for_bit() -> None:
    code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); "  # noqa: PTH120
    code += "import test_determinism as t; print(','.join(t.bits(3)))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(3)
    }
    assert outputs == {",".join(bits(3))}


@pytest.mark.slow
def test_code_just_compiled_agrees_with_kept_code_bit_for_bit(tmp_path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); "  # noqa: PTH120
    code += "import test_determinism as t; print(','.join(t.bits(3)))"
    compiled, kept = (
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        ).stdout
        for _ in range(2)
    )
    assert compiled == kept
