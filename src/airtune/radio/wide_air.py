"""Over-the-air aggregation in a wide band: the symbols of an upload spread over resource blocks.

Each resource block is a narrow band with a channel, a beamformer and transmit scalars of its own
(system model, section 5); the antennas are the same.  Symbol s is sent in block s mod I, so that
every scale group meets all blocks alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from airtune.kinds import Floating, Integer, Real
from airtune.radio.impairments import Impairments
from airtune.radio.over_the_air import Aggregate, Form, aggregate
from airtune.radio.scales import Normalisation, Scales
from airtune.radio.transmission import Air, Transmission


def aggregate_subbands(
    updates: Floating,
    normalisation: Normalisation,
    transmissions: Sequence[Transmission],
    airs: Sequence[Air],
    rng: np.random.Generator,
    *,
    form: Form = "scalar",
    impairments: Impairments | None = None,
) -> Aggregate:
    """Send the updates over I resource blocks and decode their weighted mean.

    Powers and noise are those of the whole band: ``P_k / I`` over the noise in 1/I of the band is
    the same ratio.

    Parameters
    ----------
    updates : ndarray, float, shape (K, d_all)
        Updates of the clients that transmit.
    normalisation : Normalisation
        Their common scales, the same in all blocks.
    transmissions : sequence of Transmission
        Beamformer and transmit scalars, one a block.
    airs : sequence of Air
        True channels, interference and noise, one a block.
    rng : Generator
        Source of noise and interference.
    form : {'scalar', 'waveform'}
        As in :func:`airtune.radio.over_the_air.aggregate`.
    impairments : Impairments, optional
        What goes wrong with the clients' symbols, in all blocks alike.

    Returns
    -------
    Aggregate
        Powers are the mean over the blocks, errors and misalignments over the symbols; `parts` has
        those of each block that carries any.

    Raises
    ------
    ValueError
        There are not as many transmissions as airs.
    """
    common, count = normalisation, len(airs)
    if len(transmissions) != count:
        raise ValueError(f"{count} resource blocks need {count} transmissions, one for each")
    group_of = np.repeat(np.arange(len(common.sent)), common.scales.sizes)
    sent = np.flatnonzero(common.sent[group_of])
    block_of = np.arange(len(sent)) // 2 % count
    mean = np.repeat(common.means, common.scales.sizes)
    group_errors = np.zeros(len(common.sent))
    parts, errors, squared_bias = [], 0.0, 0.0
    for index in range(count):
        entries = sent[block_of == index]
        own = _carried(common, group_of[entries])
        transmission, air = transmissions[index], airs[index]
        wrong = impairments if len(entries) else None
        part = aggregate(
            updates[:, entries], own, transmission, air, rng, form=form, impairments=wrong
        )
        mean[entries] = part.mean
        groups = np.unique(group_of[entries])
        squares = part.group_mse * own.scales.sizes
        group_errors[groups] += squares
        errors += float(squares @ own.group_errors)
        squared_bias += part.squared_bias * own.total_error
        parts.append(part)
    symbols = np.array([part.symbols for part in parts])
    shares = symbols / symbols.sum() if len(sent) else np.full(count, 1 / count)
    total = float(common.scales.sizes @ common.deviations**2) or 1.0

    def over_symbols(values: Sequence[float]) -> float:
        return float(shares @ np.array(values))

    return Aggregate(
        mean=mean,
        symbols=common.symbols,
        powers=np.mean([part.powers for part in parts], axis=0),
        average_powers=shares @ np.array([part.average_powers for part in parts]),
        misalignment=shares @ np.array([part.misalignment for part in parts]),
        noise_mse=over_symbols([part.noise_mse for part in parts]),
        predicted_mse=over_symbols([part.predicted_mse for part in parts]),
        squared_bias=squared_bias / (common.total_error or 1.0),
        realised_mse=float(group_errors.sum()) / max(common.entries, 1),
        group_mse=np.where(common.sent, group_errors / common.scales.sizes, 0.0),
        relative_error=errors / total,
        parts=tuple(part for part in parts if part.symbols) or tuple(parts),
    )


def _carried(common: Normalisation, groups: Integer) -> Normalisation:
    """Return the scales of the entries of one block, whose groups are given in ascending order."""
    some, sizes = np.unique(groups, return_counts=True)

    def of(values: Real) -> Real:
        return values[..., some]

    scales = Scales(sizes, of(common.scales.means), of(common.scales.deviations))
    return replace(
        common,
        scales=scales,
        means=of(common.means),
        deviations=of(common.deviations),
        powers=of(common.powers),
        sent=common.sent[some],
        entries=len(groups),
    )
