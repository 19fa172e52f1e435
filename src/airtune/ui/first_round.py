"""The first round of a run, as far as it is known without data, model and plan."""

from __future__ import annotations

import numpy as np

from airtune.bound.calibrate import given_constants
from airtune.kinds import Real
from airtune.radio.power_control import misalignment
from airtune.registry import POLICIES
from airtune.scenario import Scenario
from airtune.scenario.faults import Antennas, Faults
from airtune.scheduling import Candidates, choose
from airtune.schemes import BuiltScheme, Link, OverTheAir, RadioRound
from airtune.schemes.air.analog import noise_after
from airtune.schemes.precoding import aligned

CHOOSES = ("all", "random", "best-channel", "proportional-fair")
"""Policies of selection that need no plan."""


def weights_of_senders(scenario: Scenario, radio: RadioRound, scheme: BuiltScheme) -> Real:
    """Return the weights nu_k of who sends in a round, shape (K,); all clients count alike.

    Where the selection needs a plan, all of them send (:func:`left_out` says so).
    """
    clients = scenario.clients
    equal = np.full(clients.count, 1.0 / clients.count)
    if clients.selection not in CHOOSES:
        return equal
    candidates = Candidates(
        radio=radio,
        clients=np.arange(clients.count),
        limit=clients.limit,
        omega=equal,
        scaled_weights=equal,
        batch_sizes=np.ones(clients.count, np.int64),
        average_rates=np.zeros(clients.count),
        array=scheme.array,
        positions=scheme.array.start(),
        constants=given_constants(scenario.bound),
        unbiased=clients.unbiased,
        fair_window=clients.fair_window,
    )
    return choose(clients.selection, POLICIES[clients.selection], candidates).spread(equal)


def true_error(scheme: BuiltScheme, link: Link, weights: Real) -> float:
    """Return the error of the sum over v^2 at full power, by the channels as they are.

    Transmit scalars and beamformer are those of a run, by what the server perceives; the error is
    ``w^H R w + e^H e`` (system model, section 5).  Of grouped sums it is what the server forecasts.

    Parameters
    ----------
    scheme : BuiltScheme
    link : Link
    weights : ndarray, float, shape (K,)
        nu_k; 0 for who does not send.
    """
    air = scheme.air
    if not isinstance(air, OverTheAir):
        return air.forecast(link, weights, np.ones(1, np.int64)).mse
    clients = np.flatnonzero(weights > 0)
    nu, errors = weights[clients], []
    for one in aligned(link, weights).subbands:
        sent, met = air.aligned(one, clients, nu, 1.0), air.averaged(one.true.of(clients))
        missed = misalignment(met.channel, sent, nu)
        errors.append(noise_after(sent.beamformer, met) + float(np.sum(np.abs(missed) ** 2)))
    return float(np.mean(errors))


def heard_well(scheme: BuiltScheme, link: Link, weights: Real, scenario: Scenario) -> bool:
    """Tell whether antennas stay where they are in a round (`planning.movement: when-needed`)."""
    expected = scheme.air.forecast(link, weights, np.ones(1, np.int64))
    return expected.mse <= scenario.planning.quality


def left_out(scenario: Scenario) -> tuple[str, ...]:
    """Return the settings whose effect on the error of a run is not in that of the page."""
    clients, sums, csi = scenario.clients, scenario.aggregation, scenario.radio.csi
    planning, faults = scenario.planning, scenario.faults
    counted = Antennas(
        stuck=faults.antennas.stuck,
        dead=faults.antennas.dead,
        dead_known=faults.antennas.dead_known,
    )
    others = faults.model_copy(update={"antennas": Antennas(), "poison": Faults().poison})
    inexact = csi.angle_error_deg > 0 or csi.gain_error > 0 or bool(counted.dead - counted.missing)
    found = {
        "clients.selection": clients.selection not in CHOOSES,
        "planning.participation": planning.participation != "all",
        "planning.movement": planning.movement not in ("each-round", "when-needed"),
        "aggregation.repetition": sums.repetition == "planned",
        "aggregation.normalise": sums.group_scales != "block",
        "aggregation.groups with errors of radio.csi": sums.groups > 1 and inexact,
        "radio.csi.beamformer": csi.beamformer != "paths",
        "radio.csi.age_s": csi.age_s != 0,
        "faults.antennas (drives that miss)": faults.antennas.drives,
        "faults (other than of antennas)": others != Faults(),
    }
    return tuple(name for name, there in found.items() if there)
