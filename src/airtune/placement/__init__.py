"""Movable-antenna placement: near-optimal positions and receive beamformer for aligned sums."""

from airtune.placement.average import Estimate, estimate, mean_error, solve_average
from airtune.placement.files import load_problems, save_placements, save_problems
from airtune.placement.problem import Placement, Problem, ProblemError, evaluate
from airtune.placement.references import half_wavelength, random_positions, sparse
from airtune.placement.selection import select
from airtune.placement.solver import beamform, solve, solve_many
from airtune.placement.travel import TravelLimit

__all__ = [
    "Estimate",
    "Placement",
    "Problem",
    "ProblemError",
    "TravelLimit",
    "beamform",
    "estimate",
    "evaluate",
    "half_wavelength",
    "load_problems",
    "mean_error",
    "random_positions",
    "save_placements",
    "save_problems",
    "select",
    "solve",
    "solve_average",
    "solve_many",
    "sparse",
]
