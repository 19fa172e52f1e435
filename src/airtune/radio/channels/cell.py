"""The cell: where the transmitters stand and how strongly they arrive, fixed for the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from airtune.kinds import Real
from airtune.radio.channels import directions
from airtune.radio.units import from_db
from airtune.scenario import Radio
from airtune.streams import generator


@dataclass(frozen=True)
class Stations:
    """Transmitters (clients or interferers) of a run.

    Attributes
    ----------
    distances : ndarray, float, shape (K,)
        Distance to the base station [m].
    directions : ndarray, float, shape (K, 2)
        Line of sight, in-plane part `u` (see :mod:`airtune.radio.channels.directions`).
    path_gains : ndarray, float, shape (K,)
        Mean power gain: path loss and shadowing, linear.
    """

    distances: Real
    directions: Real
    path_gains: Real


def ring_distances(count: int, ring_m: tuple[float, float], rng: np.random.Generator) -> Real:
    """Return distances of points spread uniformly over the area of a ring.

    The area within radius r grows as r^2, so r^2 is uniform between the squared radii.

    Parameters
    ----------
    count : int
        Number of points K.
    ring_m : tuple of two floats
        Inner and outer radius [m].
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, float, shape (K,)
        Distances [m].
    """
    inner, outer = ring_m
    return np.sqrt(inner**2 + (outer**2 - inner**2) * rng.uniform(size=count))


def path_loss_db(distance_m: npt.ArrayLike, intercept_db: float, slope_db: float) -> Real:
    """Return the log-distance path loss ``intercept + slope log10(d / 1 km)`` [dB].

    128.1 and 37.6 are the macro-cell values of 3GPP TR 36.814 at 2 GHz.

    Parameters
    ----------
    distance_m : array_like
        Distance d [m], > 0.
    intercept_db : float
        Path loss at one kilometre [dB].
    slope_db : float
        Path loss per decade of distance [dB].

    Returns
    -------
    ndarray, float
        Path loss [dB], shape of `distance_m`.
    """
    kilometres = np.asarray(distance_m, dtype=np.float64) / 1000.0
    return intercept_db + slope_db * np.log10(kilometres)


def place_stations(
    count: int, ring_m: tuple[float, float], radio: Radio, seed: int, group: str
) -> Stations:
    """Place the transmitters of one group and draw their shadowing, once for the run.

    Distances are uniform over the area of the ring, lines of sight uniform over the half sphere in
    front of the array, shadowing log-normal.

    Parameters
    ----------
    count : int
        Number of transmitters K; may be 0.
    ring_m : tuple of two floats
        Least and greatest distance [m].
    radio : Radio
        Settings of path loss and shadowing.
    seed : int
        Seed of the repetition.
    group : str
        Name of the group; groups have independent streams, so the number of interferers does not
        change the clients.

    Returns
    -------
    Stations

    Examples
    --------
    At one kilometre without shadowing the path loss is its intercept:

    >>> radio = Radio(shadowing_db=0.0)
    >>> stations = place_stations(2, (1000.0, 1000.0), radio, seed=1, group="clients")
    >>> (10.0 * np.log10(stations.path_gains)).round(3).tolist()
    [-128.1, -128.1]
    >>> inside = place_stations(50, (50.0, 200.0), radio, seed=1, group="clients").distances
    >>> bool(((inside >= 50.0) & (inside <= 200.0)).all())
    True
    """
    rng = generator(seed, "placement", group)
    distances = ring_distances(count, ring_m, rng)
    sight = directions.uniform((count,), rng)
    shadowing = radio.shadowing_db * generator(seed, "shadowing", group).standard_normal(count)
    loss = path_loss_db(distances, radio.path_loss_intercept_db, radio.path_loss_slope_db)
    return Stations(distances, sight, from_db(-(loss + shadowing)))
