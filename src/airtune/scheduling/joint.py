"""Selection and placement together: the set of clients whose round adds least to the bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from airtune.bound.convergence import BoundConstants, batch_noise, participation_bias
from airtune.kinds import Integer, Real
from airtune.placement.choice import relaxed_orders
from airtune.scheduling.base import Candidates, Choice, Policy, renormalised, strongest
from airtune.schemes import Effort
from airtune.streams import torch_seed

SCREENED, SCREENED_PER_PLACE = 24, 3
"""Most clients that the relaxation looks at: so many, or so many for each that may transmit."""

EVALUATIONS = 48
"""Sets that are tried with antennas and beamformer of their own."""

TRIED = 6
"""Sets that are tried of each ranking before the present one is called the best."""


class Joint(Policy):
    """The set with the least one-round terms of the bound at its own placement.

    For a set S of weight p the terms are ``(L eta^2 / 2) (sigma_g^2 sum_S (omega_k / p)^2 / B_k +
    G^2 MSE(S)) + (eta / 2) min(1, 4 (1 - p)^2) zeta^2`` (system model, section 6), with MSE(S) of
    the best placement for S: strong clients against absent weight.  At most
    `clients.concurrency` clients are taken, fewer where the weakest costs more than it brings.

    The relaxed choice of SCA-PDD (:mod:`airtune.placement.choice`) is rounded to its strongest
    clients; then single clients are exchanged, added and dropped while that lowers the terms.
    Antennas that do not move are left where they are.

    References
    ----------
    K. Yang, T. Jiang, Y. Shi, Z. Ding: Federated learning via over-the-air computation, IEEE
    Trans. Wirel. Commun. 19(3), 2020: selection with a fixed array, most clients under an error.
    """

    about: ClassVar[str] = "best set at its own placement, by the bound"

    def select(self, candidates: Candidates) -> Choice:
        """Return the set of the least terms that is found."""
        pool, omega = screened(candidates), candidates.omega
        trials = Trials(candidates, pool)
        sets = [pool[order[: candidates.limit]] for order in _orders(candidates, pool)]
        sets += [strongest(s, pool, candidates.limit) for s in (_strength(candidates), omega)]
        best = min((trials.of(members) for members in sets), key=lambda trial: trial.terms)
        while True:
            better = _improved(trials, best)
            if better is None:
                return renormalised(best.members, omega)
            best = better


@dataclass(frozen=True)
class Trial:
    """A set of clients at its own placement.

    Attributes
    ----------
    members : ndarray, int, shape (S,)
        Ascending.
    terms : float
        What the round adds to the bound.
    gains : ndarray, float, shape (K,)
        ``P_k |w^H h_k|^2 / (w^H R w)`` over the square of `scaled_weights`; 0 outside the pool.
    """

    members: Integer
    terms: float
    gains: Real


@dataclass
class Trials:
    """Sets of clients from a pool tried in one round; each is placed once."""

    candidates: Candidates
    pool: Integer
    cache: dict[bytes, Trial] = field(default_factory=dict)

    @property
    def spent(self) -> bool:
        """Whether no further set is to be tried."""
        return len(self.cache) >= EVALUATIONS

    def of(self, members: Integer) -> Trial:
        """Place the antennas for a set and return what its round adds to the bound."""
        members = np.sort(members)
        key = members.tobytes()
        if key not in self.cache:
            self.cache[key] = self._place(members)
        return self.cache[key]

    def _place(self, members: Integer) -> Trial:
        c = self.candidates
        nu = renormalised(members, c.omega).spread(c.scaled_weights)
        # the solver's fast mode, for many sets are tried
        positions = c.array.place(c.radio, nu, c.positions, effort=Effort(mode="fast"))
        link = c.array.link(c.radio, nu, positions)
        best = link.best_beamformer(nu)
        terms = round_terms(c.constants, c.omega, c.batch_sizes, members, 1 / best.worst_gain)
        received = np.abs(link.perceived.of(self.pool).channel @ best.beamformer.conj()) ** 2
        gains = np.zeros(len(c.omega))
        gains[self.pool] = received * c.radio.powers[self.pool] / c.scaled_weights[self.pool] ** 2
        # w is scaled so that the weakest member has |w^H g_k| = 1, and then w^H R w = 1 / gain
        return Trial(members, terms, gains * best.worst_gain)

    def guess(self, gains: Real, members: Integer) -> float:
        """Return what a set would add to the bound if these were the gains of its members."""
        c = self.candidates
        gain = gains[members].min() * _share(c.omega, members) ** 2
        return round_terms(c.constants, c.omega, c.batch_sizes, members, 1 / max(gain, 1e-300))


def round_terms(
    constants: BoundConstants, omega: Real, batch_sizes: Integer, members: Integer, mse: float
) -> float:
    """Return what a round of these clients adds to the bound (system model, section 6).

    Parameters
    ----------
    constants : BoundConstants
    omega, batch_sizes : ndarray, shape (K,)
        Weights, sum 1, and mini-batches of all clients.
    members : ndarray, int, shape (S,)
        Who transmits, with omega renormalised.
    mse : float
        Error of their aggregation.
    """
    c, share = constants, _share(omega, members)
    noise = float(batch_noise(c, omega[members] / share, batch_sizes[members])) + c.G_sq * mse
    bias = float(participation_bias(c, [share, 1 - share], [True, False]))
    return c.L * c.eta**2 / 2 * noise + c.eta / 2 * bias


def _share(omega: Real, members: Integer) -> float:
    return 1.0 if len(members) == len(omega) else float(omega[members].sum())


def screened(candidates: Candidates) -> Integer:
    """Return the clients worth a look: the strongest, and those that weigh most."""
    c = candidates
    count = max(SCREENED, SCREENED_PER_PLACE * c.limit)
    return np.union1d(
        strongest(_strength(c), c.clients, count), strongest(c.omega, c.clients, c.limit)
    )


def _strength(candidates: Candidates) -> Real:
    """Mean gain ``N SINR_k / nu_k^2`` of a client that the antennas serve alone, shape (K,)."""
    c = candidates
    return np.asarray(len(c.positions) * c.sinr / c.scaled_weights**2)


def _orders(candidates: Candidates, pool: Integer) -> list[Integer]:
    c = candidates
    if len(pool) <= c.limit:
        return [np.arange(len(pool))]
    nu = np.zeros(len(c.omega))
    nu[pool] = c.scaled_weights[pool]
    return relaxed_orders(
        c.radio.problem(nu),
        c.limit,
        c.positions,
        moving=c.array.moves,
        seed=torch_seed(c.radio.seed, "selection", c.radio.round) % 2**31,
    )


def _improved(trials: Trials, best: Trial) -> Trial | None:
    """Return a better set, None if none is found.

    Sets that differ in one client, and the heaviest of the clients received best, are tried in the
    order of what they promise with the gains that the present placement gives them and, in turn,
    with those of a placement for each client alone.
    """
    for members in _promising(trials, best):
        if trials.spent:
            return None
        trial = trials.of(members)
        if trial.terms < best.terms * (1 - 1e-9):
            return trial
    return None


def _promising(trials: Trials, best: Trial) -> list[Integer]:
    c, inside = trials.candidates, best.members
    outside = np.setdiff1d(trials.pool, inside)
    fewer = [np.delete(inside, i) for i in range(len(inside))]
    larger = [inside] if len(inside) < c.limit else []
    sets = [np.append(rest, new) for rest in (*fewer, *larger) for new in outside]
    sets += [rest for rest in fewer if len(rest)]
    rankings = []
    for gains in (best.gains, _strength(c)):
        at_least = [trials.pool[gains[trials.pool] >= gains[k]] for k in trials.pool]
        heaviest = [strongest(c.omega, clients, c.limit) for clients in at_least]
        rankings.append(sorted(sets + heaviest, key=partial(trials.guess, gains))[:TRIED])
    return [members for pair in zip(*rankings, strict=True) for members in pair]
