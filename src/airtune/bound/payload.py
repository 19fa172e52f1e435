"""The constants of the bound for what a payload makes of an update (docs/payloads.md)."""

from __future__ import annotations

from dataclasses import replace

from airtune.bound.convergence import BoundConstants


def of_payload(
    constants: BoundConstants, share: float, inflation: float, amplification: float
) -> BoundConstants:
    """Return constants with which the bound holds for a payload, on average over its draws.

    Steps along a random share s of the entries, every entry alike: E <grad F, step> and the energy
    of gradients, their noise and their scale are all s times those of the whole, so mu,
    sigma_g^2, G^2 and zeta^2 are, and L stays.

    Unbiased estimates dhat with E ||dhat||^2 = (1 + c) ||d||^2, where an error of the numbers sent
    comes back with a times its energy: ``L (1 + c)`` takes the place of L, the step is at most the
    inverse of that, and G^2 becomes ``a G^2 / (1 + c)``, for the air's error is not inflated again.

    Parameters
    ----------
    constants : BoundConstants
        Of the loss over the entries that the payload can move.
    share : float
        s in (0, 1].
    inflation : float
        c >= 0.
    amplification : float
        a >= 1.

    Examples
    --------
    A fourth of the entries, and a subspace with d / n = 4:

    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8, zeta_sq=2,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> masked = of_payload(constants, share=0.25, inflation=0.0, amplification=1.0)
    >>> masked.mu, masked.G_sq, masked.L
    (0.125, 2.0, 4.0)
    >>> projected = of_payload(constants, share=1.0, inflation=4.0, amplification=4.0)
    >>> projected.L, projected.eta, projected.G_sq
    (20.0, 0.05, 6.4)
    """
    if share == 1 and inflation == 0 and amplification == 1:
        return constants
    smooth = constants.L * (1 + inflation)
    return replace(
        constants,
        L=smooth,
        mu=constants.mu * share,
        eta=min(constants.eta, 1 / smooth) if inflation else constants.eta,
        sigma_g_sq=constants.sigma_g_sq * share,
        G_sq=constants.G_sq * share * amplification / (1 + inflation),
        zeta_sq=constants.zeta_sq * share,
    )
