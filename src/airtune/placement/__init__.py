"""Movable-antenna placement: near-optimal positions and receive beamformer for aligned sums."""

from airtune.placement.average import Estimate, estimate, mean_error, solve_average
from airtune.placement.files import load_problems, save_placements, save_problems
from airtune.placement.problem import Placement, Problem, ProblemError, evaluate
from airtune.placement.references import half_wavelength, random_positions, sparse
from airtune.placement.selection import select
from airtune.placement.solver import beamform, solve, solve_many
from airtune.placement.travel import TravelLimit
from airtune.placement.wideband import WidebandPlacement, place_wideband, solve_wideband

__all__ = [
    "Estimate",
    "Placement",
    "Problem",
    "ProblemError",
    "TravelLimit",
    "WidebandPlacement",
    "beamform",
    "estimate",
    "evaluate",
    "half_wavelength",
    "load_problems",
    "mean_error",
    "place_wideband",
    "random_positions",
    "save_placements",
    "save_problems",
    "select",
    "solve",
    "solve_average",
    "solve_many",
    "solve_wideband",
    "sparse",
]
