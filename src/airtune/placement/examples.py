"""Random problems of the kinds studied, for examples, tests and benchmarks.

``python -m airtune.placement.examples problems.npz`` writes a small file to try `airtune place` on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.files import save_problems
from airtune.placement.problem import Problem, ProblemError


def random_problem(
    seed: int | list[int],
    *,
    antennas: int = 8,
    clients: int = 10,
    paths: int = 10,
    interferers: int = 0,
    region: tuple[float, float] = (4.0, 4.0),
    spacing: float = 0.5,
    rice_factor: float = 0.0,
    path_loss_db: float = 105.0,
    shadowing_db: float = 3.0,
    interference_db: float = 18.0,
) -> Problem:
    """Clients with unlike path losses and weights, interferers well above the noise.

    Parameters
    ----------
    seed : int or list of int
    antennas, clients, paths, interferers : int
        N, K, L (of clients and interferers), J.
    region : (float, float)  [wavelengths]
    spacing : float  [wavelengths]
    rice_factor : float
        Power of the first path over the sum of all others; 0 for Rayleigh fading.
    path_loss_db, shadowing_db : float
        Mean and standard deviation over clients  [dB]
    interference_db : float
        Mean received power of an interferer over the noise, per antenna  [dB]

    Returns
    -------
    Problem

    Examples
    --------
    >>> problem = random_problem(0, antennas=4, clients=3, paths=5, interferers=1)
    >>> problem.antennas, problem.gains.shape, problem.interferer_gains.shape
    (4, (3, 5), (1, 5))
    """
    rng = np.random.default_rng(seed)

    def draw(count: int, level_db: Real) -> tuple[Complex, Real]:
        towards = rng.normal(size=(count, paths, 3))
        towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
        a = rng.normal(size=(count, paths)) + 1j * rng.normal(size=(count, paths))
        a *= np.sqrt(0.5 / paths / (1 + rice_factor))
        if rice_factor > 0:
            phase = np.exp(2j * np.pi * rng.uniform(size=count))
            a[:, 0] = np.sqrt(rice_factor / (1 + rice_factor)) * phase
        scale = 10 ** (level_db / 20)
        return np.asarray(a * scale[:, None], np.complex128), towards[..., :2].copy()

    noise, power = 1e-14, 0.2
    gains, directions = draw(clients, -path_loss_db - shadowing_db * rng.normal(size=clients))
    level = interference_db + 10 * np.log10(noise / power)
    other, other_directions = draw(interferers, np.full(interferers, level))
    return Problem(
        gains=gains,
        directions=directions,
        weights=rng.dirichlet(np.full(clients, 8.0)),
        powers=np.full(clients, power),
        noise=noise,
        interferer_gains=other,
        interferer_directions=other_directions,
        interferer_powers=np.full(interferers, power),
        antennas=antennas,
        region=np.array(region),
        spacing=spacing,
    )


def write_file(path: str | Path) -> None:
    """Write three instances of four antennas, five clients and one interferer.

    Parameters
    ----------
    path : str or Path
        New .npz file.

    Raises
    ------
    ProblemError
        The file exists or cannot be written.
    """
    if Path(path).exists():
        raise ProblemError(f"{path}: exists; name a new file")
    problems = [
        random_problem(seed, antennas=4, clients=5, paths=6, interferers=1) for seed in range(3)
    ]
    save_problems(path, problems)


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m airtune.placement.examples",
        description="Write three random placement problems, to try `airtune place` on.",
    )
    parser.add_argument("file", metavar="FILE.npz", help="new file to write")
    arguments = parser.parse_args()
    try:
        write_file(arguments.file)
    except ProblemError as error:
        parser.error(str(error))  # exit code 2
    print(f"wrote {arguments.file}; try: airtune place {arguments.file} --out placed.npz")


if __name__ == "__main__":
    main()
