"""Antenna positions over a map of what an antenna would receive there (system-model 3, 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError
from airtune.radio import gain_map
from airtune.record import names
from airtune.record.documents import InterfererPaths, PlacementDocument
from airtune.registry import PROPOSAL
from airtune.report import style
from airtune.report.run_folder import RunFolder

Array = NDArray[np.float64]

# Deep nulls of single paths would take up the colour range: what is weaker than this share of the
# map is drawn in the darkest colour.
_DARKEST = 0.1
_CELLS_PER_WAVELENGTH = 48


@dataclass(frozen=True)
class Placement:
    """The content of placement.json as arrays.

    Positions and region are in wavelengths; gains are of the auxiliary channel g_k.
    """

    round: int
    positions: Array  # (N, 2)
    region: Array  # (2,)
    gains: NDArray[np.complex128]  # (K, L), auxiliary scale included
    directions: Array  # (K, L, 2)
    interferer_gains: NDArray[np.complex128]  # (J, L), square root of the power included
    interferer_directions: Array  # (J, L, 2)
    noise_w: float


def as_arrays(document: PlacementDocument, where: str) -> Placement:
    """Return the arrays of a placement.json.

    Parameters
    ----------
    document : PlacementDocument
    where : str
        Names the file in messages.

    Raises
    ------
    InputError
        A field does not have the shape of the others.
    """
    clients, others = document.clients, document.interferers or InterfererPaths()
    try:
        gains = np.asarray(clients.gains_re, float) + 1j * np.asarray(clients.gains_im, float)
        scale = np.asarray(clients.auxiliary_scale, float)
        power = np.asarray(others.powers, float)
        strength = np.zeros((0, gains.shape[1]), complex)
        towards = np.zeros((0, gains.shape[1], 2))
        if power.size:
            strength = np.asarray(others.gains_re, float) + 1j * np.asarray(others.gains_im)
            strength = np.sqrt(power)[:, None] * strength
            towards = np.asarray(others.directions, float).reshape(*strength.shape, 2)
        return Placement(
            document.round,
            np.asarray(document.positions, float).reshape(-1, 2),
            np.asarray(document.region, float),
            scale[:, None] * gains,
            np.asarray(clients.directions, float).reshape(*gains.shape, 2),
            strength,
            towards,
            float(document.noise_w),
        )
    except (ValueError, IndexError) as error:
        raise InputError(f"{where}: not a placement ({type(error).__name__}: {error})") from error


def weakest_gain_db(placement: Placement, x: Array, y: Array) -> Array:
    """Return the weakest client's signal over local noise and interference, on a grid, in dB.

    That is min_k |g_k(p)|^2 / (sigma^2 + sum_j q_j |v_j(p)|^2) of a single antenna at p: where
    one antenna alone would serve the worst client well.  The beamformer adds several antennas
    up, so good positions are not simply the brightest ones.

    Parameters
    ----------
    placement : Placement
        Paths of clients and interferers.
    x : ndarray, shape (X,)  [wavelengths]
    y : ndarray, shape (Y,)  [wavelengths]

    Returns
    -------
    ndarray, shape (Y, X)  [dB]
    """
    return gain_map.weakest_gain_db(
        placement.gains,
        placement.directions,
        placement.interferer_gains,
        placement.interferer_directions,
        placement.noise_w,
        x,
        y,
    )


def antenna_positions(run: RunFolder) -> Any | None:
    """Draw the antennas of every array scheme over the gain map of the last placement."""
    placements = {}
    for scheme in run.schemes:
        document: PlacementDocument | None = scheme.first_with("placement")
        if document is not None and document.clients.gains_re:
            placements[scheme.name] = as_arrays(document, f"{scheme.name}: {names.PLACEMENT}")
    if not placements:
        return None
    base = placements.get(PROPOSAL) or next(iter(placements.values()))
    if not np.any(base.gains) or base.region[0] <= 0:
        return None
    if base.region[1] > 0:
        return _map(base, placements)
    return _line(base, placements)


def _grid(length: float) -> Array:
    return np.linspace(0, length, int(np.clip(_CELLS_PER_WAVELENGTH * length, 60, 480)) + 1)


def _map(base: Placement, placements: dict[str, Placement]) -> Any:
    from matplotlib.ticker import MaxNLocator

    x, y = _grid(base.region[0]), _grid(base.region[1])
    level = weakest_gain_db(base, x, y)
    # Wide, flat regions get a flat figure; the x axis and the legend need the rest.
    height = float(np.clip(2.3 * base.region[1] / base.region[0], 0.9, 4.0)) + 0.72
    figure = style.new_figure(height)
    axes = figure.add_subplot()
    image = axes.imshow(
        level,
        extent=(0, base.region[0], 0, base.region[1]),
        origin="lower",
        cmap="cividis",
        vmin=float(np.quantile(level, _DARKEST)),
        vmax=float(level.max()),
        interpolation="bilinear",
    )
    # Inset: exactly as high as the map, whatever the layout makes of it.
    bar = figure.colorbar(image, cax=axes.inset_axes([1.03, 0, 0.045, 1]), extend="min")
    bar.locator = MaxNLocator(5, integer=True)
    bar.update_ticks()
    bar.set_label("Weakest client's gain [dB]")
    bar.outline.set_visible(False)
    for schemes, at in _distinct(placements):
        _antennas(axes, schemes, at[:, 0], at[:, 1])
    axes.set_xlabel("x [wavelengths]")
    axes.set_ylabel("y [wavelengths]")
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    margin = 0.02 * base.region
    axes.set_xlim(-margin[0], base.region[0] + margin[0])
    axes.set_ylim(-margin[1], base.region[1] + margin[1])
    style.legend_above(figure, axes, handlelength=1.0)
    return figure


def _line(base: Placement, placements: dict[str, Placement]) -> Any:
    """Draw a one-dimensional region: the gain as a curve, the antennas on it."""
    x = _grid(base.region[0])
    level = weakest_gain_db(base, x, np.zeros(1))[0]
    figure = style.new_figure(2.4)
    axes = figure.add_subplot()
    axes.plot(x, level, color=style.FAINT, linewidth=1.0)
    for schemes, at in _distinct(placements):
        _antennas(axes, schemes, at[:, 0], np.interp(at[:, 0], x, level))
    axes.set_xlim(0, base.region[0])
    axes.set_xlabel("x [wavelengths]")
    axes.set_ylabel("Weakest client's gain [dB]")
    style.legend_above(figure, axes, handlelength=1.0)
    return figure


def _distinct(placements: dict[str, Placement]) -> list[tuple[list[str], Array]]:
    """Return positions with the schemes that share them: one marker must not hide another."""
    groups: list[tuple[list[str], Array]] = []
    for name, placement in placements.items():
        for schemes, at in groups:
            if at.shape == placement.positions.shape and np.allclose(at, placement.positions):
                schemes.append(name)
                break
        else:
            groups.append(([name], placement.positions))
    return groups


def _antennas(axes: Any, names: list[str], x: Array, y: Array) -> None:
    name = names[0]
    style.draw_points(
        axes,
        x,
        y,
        name,
        markersize=7.5 if name == PROPOSAL else 6,
        # A light rim keeps a marker apart from the map, whatever its colour there.
        markeredgecolor=style.PAPER,
        markeredgewidth=1.0,
        label=_joint_label(names),
        clip_on=False,
        zorder=4 if name == PROPOSAL else 3,
    )


def _joint_label(names: list[str]) -> str:
    labels = [style.scheme_style(name).label for name in names]
    return ", ".join(labels) if len(labels) < 3 else f"{labels[0]} and {len(labels) - 1} more"
