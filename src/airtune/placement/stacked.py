"""Problems of many blocks, in the layout of the kernels that judge them together."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.kernels.blocks import Bench, Stack
from airtune.placement.kernels.construct import Table
from airtune.placement.kernels.field import Field, pack, workspace
from airtune.placement.kernels.lanes import SINGLES
from airtune.placement.problem import Problem

STRONGER = 3.0
"""Amplitude of a client that fills a row, over that of the one it repeats: never the weakest."""

_Paths = TypeVar("_Paths", Real, Complex)


def packed(problems: list[Problem]) -> tuple[list[Field], Real]:
    """Return the fields of blocks, all of one shape, and their scales (S,).

    Where blocks differ in paths, in clients or interferers that send, rows without effect are
    added: paths and interferers without power, and clients repeated so strong that they are never
    the weakest.
    """
    shapes = {_shape(one) for one in problems}
    if len(shapes) > 1:
        K, J, L, LJ = (max(sizes) for sizes in zip(*shapes, strict=True))
        problems = [_filled(one, K, J, L, LJ) for one in problems]
    both = [pack(one) for one in problems]
    return [field for field, _ in both], np.array([scale for _, scale in both])


def _shape(problem: Problem) -> tuple[int, int, int, int]:
    """Return K, J, L and the interferers' L of what sends."""
    sending = int((problem.interferer_powers > 0).sum())
    return (
        int(problem.active.sum()),
        sending,
        problem.gains.shape[1],
        problem.interferer_gains.shape[1],
    )


def _filled(problem: Problem, K: int, J: int, L: int, LJ: int) -> Problem:
    """Return a problem of the same worst gain with K clients, J interferers and so many paths."""
    clients = np.flatnonzero(problem.active)
    clients = np.concatenate([clients, np.repeat(clients[-1:], K - len(clients))])
    gains = problem.gains[clients].copy()
    gains[int(problem.active.sum()) :] *= STRONGER
    loud = np.flatnonzero(problem.interferer_powers > 0)
    quiet = J - len(loud)
    powers = np.concatenate([problem.interferer_powers[loud], np.full(quiet, problem.noise)])
    from_loud = _longer(problem.interferer_gains[loud], LJ)
    # an interferer of no gain, and a power by which it counts as one
    return replace(
        problem,
        gains=_longer(gains, L),
        directions=_longer(problem.directions[clients], L),
        weights=problem.weights[clients],
        powers=problem.powers[clients],
        interferer_gains=np.concatenate([from_loud, np.zeros((quiet, LJ))]),
        interferer_directions=np.concatenate(
            [_longer(problem.interferer_directions[loud], LJ), np.zeros((quiet, LJ, 2))]
        ),
        interferer_powers=powers,
    )


def _longer(paths: _Paths, count: int) -> _Paths:
    missing = count - paths.shape[1]
    return np.pad(paths, ((0, 0), (0, missing), *[(0, 0)] * (paths.ndim - 2)))


def stacked(fields: list[Field], scales: Real, tables: list[Table]) -> tuple[Stack, Bench]:
    """Return blocks of one shape, with their channels at the same places, and work space."""
    first, count = fields[0], len(fields)
    rows, places = tables[0].tr.shape
    wide = np.zeros((2, count, rows, places + SINGLES), np.float32)
    for block, table in enumerate(tables):
        wide[0, block, :, :places], wide[1, block, :, :places] = table.tr, table.ti
    stack = Stack(
        np.stack([one.ux for one in fields]),
        np.stack([one.uy for one in fields]),
        np.stack([one.ar for one in fields]),
        np.stack([one.ai for one in fields]),
        wide[0],
        wide[1],
        tables[0].px.astype(np.float32),
        tables[0].py.astype(np.float32),
        scales,
        first.clients,
        first.interferers,
        first.antennas,
        first.group,
        first.width,
        first.height,
        first.spacing,
    )
    bench = Bench(
        workspace(first),
        np.zeros(places + SINGLES, np.float32),
        np.empty((2, first.interferers, SINGLES), np.float32),
        np.zeros(places, np.int32),
    )
    return stack, bench
