"""Propagation paths as data: what every source of channels gives."""

from __future__ import annotations

from dataclasses import dataclass

from airtune.kinds import Complex, Integer, Real


@dataclass(frozen=True)
class Paths:
    """Paths of K transmitters in one coherence block (system model, section 3).

    Attributes
    ----------
    gains : ndarray, complex, shape (K, L)
        Amplitude a_kl; path loss, shadowing and fading included.
    directions : ndarray, float, shape (K, L, 2)
        In-plane part `u` of the unit vector from the array to the scatterer.
    delays : ndarray, float, shape (K, L)
        Excess delay [s].
    """

    gains: Complex
    directions: Real
    delays: Real

    def of(self, transmitters: Integer) -> Paths:
        """Return the paths of some of the transmitters (indices)."""
        k = transmitters
        return Paths(self.gains[k], self.directions[k], self.delays[k])


@dataclass(frozen=True)
class Block:
    """One coherence block: the paths of the clients and of the interferers."""

    clients: Paths
    interferers: Paths

    def of(self, clients: Integer) -> Block:
        """Return the block with some of its clients only (indices)."""
        return Block(self.clients.of(clients), self.interferers)
