"""Movable-antenna placement: near-optimal positions and receive beamformer for aligned sums."""

from airtune.placement.files import load_problems, save_placements
from airtune.placement.movement import Movement
from airtune.placement.problem import Placement, Problem, ProblemError, evaluate
from airtune.placement.references import half_wavelength, random_positions, select, sparse
from airtune.placement.solver import beamform, solve, solve_many

__all__ = [
    "Movement",
    "Placement",
    "Problem",
    "ProblemError",
    "beamform",
    "evaluate",
    "half_wavelength",
    "load_problems",
    "random_positions",
    "save_placements",
    "select",
    "solve",
    "solve_many",
    "sparse",
]
