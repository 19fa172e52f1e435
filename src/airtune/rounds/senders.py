"""Who of the selected clients has an update, and who of them has sent it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airtune.engines import RoundUpdates
from airtune.errors import InputError
from airtune.scheduling import Choice
from airtune.schemes import AirInterface, Reception
from airtune.schemes.air.analog import Analog
from airtune.schemes.air.grouped import Grouped
from airtune.schemes.air.massive_digital import MassiveDigital


def check_updates(computed: RoundUpdates, selected: NDArray[np.int64], engine: str) -> None:
    """Refuse the updates of an engine that loses clients without saying so.

    Raises
    ------
    InputError
        The clients with an update, those dropped and those missing are not the selected ones.
    """
    answered = sorted([*computed.clients.tolist(), *computed.dropped, *computed.missing])
    if answered != sorted(selected.tolist()) or len(computed.updates) != len(computed.clients):
        raise InputError(
            f"engine.name = {engine!r}: the engine was asked for the updates of clients "
            f"{selected.tolist()}; it returned {len(computed.updates)} updates, of clients "
            f"{computed.clients.tolist()}, dropped {list(computed.dropped)} and missed "
            f"{list(computed.missing)}"
        )


def who_transmitted(senders: NDArray[np.int64], received: Reception | None) -> NDArray[np.int64]:
    """Return who of the senders was not silent; nobody if nothing was received."""
    if received is None:
        return senders[:0]
    return senders if received.transmitted is None else senders[received.transmitted]


def report_bits(
    selected: NDArray[np.int64], senders: NDArray[np.int64], received: Reception | None
) -> NDArray[np.float64] | None:
    """Return the lengths of the reports of the selected clients [bit]; None: all in full.

    Parameters
    ----------
    selected, senders : ndarray, int
        Ascending; the senders are those of them with an upload.
    received : Reception or None
    """
    if received is None or received.report_bits is None:
        return None
    bits = np.zeros(len(selected))
    bits[np.isin(selected, senders)] = received.report_bits
    return bits


def who_reports(
    selected: NDArray[np.int64],
    senders: NDArray[np.int64],
    received: Reception | None,
    *,
    nothing: bool,
) -> NDArray[np.bool_] | None:
    """Return who of the selected clients reports its scales, shape (S,); None: everyone.

    Not who has no upload (dropped out before it, late, or not finite), nor who stays silent, which
    the pilots decide.  Of a sum that cannot be read all have reported who have sent.

    Parameters
    ----------
    selected, senders : ndarray, int
        Ascending; the senders are those of them with an upload.
    received : Reception or None
    nothing : bool
        Whether there is nothing to send, as the reports say; otherwise, if nothing is received,
        everyone is silent.
    """
    if received is None:
        some = senders if nothing else senders[:0]
    elif received.lost:
        some = senders[received.times_s > 0]
    else:
        some = who_transmitted(senders, received)
    return None if len(some) == len(selected) else np.isin(selected, some)


def averages(air: AirInterface) -> bool:
    """Tell whether means are weighted ones of the updates: no robust rule makes them and no vote.

    It is so of all rounds of an interface, also of those in which nothing is received.
    """
    grouped = isinstance(air, Grouped)
    ruled = air.aggregation.robust != "none" and (grouped or air.tells_apart)
    sent = air.inner if isinstance(air, Grouped) else air
    return not (ruled or sent.follows_no_law or sent.sends_signs)


def misalignment(air: AirInterface, received: Reception | None) -> float | None:
    """Return the squared bias of a round from misaligned clients and wrong reports.

    Parameters
    ----------
    air : AirInterface
    received : Reception or None
        What the server has stepped by; None where it made no step, whoever has transmitted.

    Returns
    -------
    float or None
        Without a step 0 if the interface adds updates, or words for them, up in the air, and
        otherwise None, as in all of its rounds.
    """
    if received is not None:
        return received.squared_bias
    sent = air.inner if isinstance(air, Grouped) else air
    if isinstance(sent, MassiveDigital):  # its mean is one of words, not of the updates
        ruled = air is not sent and air.aggregation.robust != "none"
        return None if ruled else 0.0
    return 0.0 if isinstance(sent, Analog) and averages(air) else None


def scaled_weights(
    omega: NDArray[np.float64],
    before: NDArray[np.float64],
    senders: NDArray[np.int64],
    choice: Choice,
    reported: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return omega_k times the relative scale that each client reported last, shape (K,).

    Parameters
    ----------
    omega, before : ndarray, float, shape (K,)
        The weights, and what was reported before.
    senders : ndarray, int, shape (S,)
        Clients with an update.
    choice : Choice
    reported : ndarray, float, shape (K,)
        nu_k of this round; a client that had nothing to send keeps its last scale.
    """
    chosen = np.isin(choice.clients, senders)
    factors = choice.factors[chosen]
    everybody = len(senders) == len(choice.clients)
    share = 1.0 if everybody else (omega[senders] * factors).sum()
    scales = share * reported[senders] / factors
    weights = before.copy()
    weights[senders] = np.where(scales > 0, scales, weights[senders])
    return weights
