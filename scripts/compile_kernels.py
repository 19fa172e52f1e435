"""Compile the kernels of placement and planning once, in two processes at a time.

    python scripts/compile_kernels.py

What is compiled lies in the user's cache folder, by the contents of the sources.  Without this the
first command or test that needs a kernel compiles it, and tests in several processes compile the
same one at the same time.
"""

from __future__ import annotations

import subprocess
import sys

PLACEMENT = """
from airtune.placement import solve
from airtune.placement.examples import random_problem
solve(random_problem(0), mode="fast")
"""

ALLOCATION_AND_OTHER_METHODS = """
from dataclasses import replace
from airtune.allocation import allocate
from airtune.allocation.examples import two_clients
problem = two_clients(latency_s=4.0)
allocate(problem)
allocate(replace(problem, energy_j=20.0))

import numpy as np
from airtune.placement import half_wavelength
from airtune.placement.examples import random_problem
from airtune.placement.kernels.field import pack
from airtune.placement.pdd import Pdd
from airtune.placement.search import Search
from airtune.placement.smooth import Smooth
problem = random_problem(0)
field, _ = pack(problem)
start = half_wavelength(problem.antennas, problem.region)
run = Search(field, 0, start)
for method in (Pdd(run), Smooth(run)):
    method.improve(run.scatter(), -np.inf)
"""


def main() -> int:
    """Run both programs side by side; return 1 if one of them failed."""
    programs = (PLACEMENT, ALLOCATION_AND_OTHER_METHODS)
    running = [subprocess.Popen([sys.executable, "-c", text]) for text in programs]  # noqa: S603
    ends = [process.wait() for process in running]
    return int(any(ends))


if __name__ == "__main__":
    sys.exit(main())
