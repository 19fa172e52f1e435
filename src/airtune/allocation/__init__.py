"""Exact allocation of rounds, batches, clocks and back-off for given constants.

The integer problem of the system model, section 8, for a constant MSE* and given participants:
:func:`allocate` minimises the convergence bound of a :class:`ResourceProblem` within its budgets,
:func:`is_feasible` says whether some plan meets them and :func:`conflict_of` which budget does not.
:mod:`airtune.allocation.client_sampling` has the means over who transmits in a round.  Pure
functions of arrays: no scenario, no files; the searches are compiled.
"""

from airtune.allocation.client_sampling import (
    SamplingMeans,
    sampled_with_replacement,
    sampled_without_replacement,
)
from airtune.allocation.conflict import AdjustableBudget, Conflict, conflict_of, explain_conflict
from airtune.allocation.feasibility import is_feasible
from airtune.allocation.problem import Processors, ResourceProblem, ServerProcessor
from airtune.allocation.repeats import fewest_sendings
from airtune.allocation.solver import Allocation, allocate, allocation_of
from airtune.allocation.total_budget import Effort

__all__ = [
    "AdjustableBudget",
    "Allocation",
    "Conflict",
    "Effort",
    "Processors",
    "ResourceProblem",
    "SamplingMeans",
    "ServerProcessor",
    "allocate",
    "allocation_of",
    "conflict_of",
    "explain_conflict",
    "fewest_sendings",
    "is_feasible",
    "sampled_with_replacement",
    "sampled_without_replacement",
]
