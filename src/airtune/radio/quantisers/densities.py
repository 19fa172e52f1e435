"""Densities of unit variance that quantisers are made for, on their positive half.

Both are symmetric.  Cells ``[a, b]`` lie at ``0 <= a < b``, b may be infinite.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from airtune.kinds import Real

_RATE = np.sqrt(2.0)
_ROOT_2PI = np.sqrt(2.0 * np.pi)


class Density(ABC):
    """A symmetric density of unit variance.

    Attributes
    ----------
    name : str
        Of the class.
    """

    name: ClassVar[str]

    @abstractmethod
    def at(self, x: Real) -> Real:
        """Return the density f(x)."""

    @abstractmethod
    def mass(self, a: Real, b: Real) -> Real:
        """Return P(a < X < b)."""

    @abstractmethod
    def mean(self, a: Real, b: Real) -> Real:
        """Return E[X | a < X < b]."""

    @abstractmethod
    def log2_mass(self, a: Real, b: Real) -> Real:
        """Return log2 P(a < X < b), also where the probability is too small for a float."""

    @abstractmethod
    def companded(self, share: Real) -> Real:
        """Return where ``f^(1/3)`` has the share, in (0, 1), of its mass on the positive half.

        Levels at even shares are those of the best quantiser with many levels (Panter, Dite,
        "Quantization distortion in pulse-count modulation with nonuniform spacing of levels",
        Proceedings of the IRE 39(1), 1951).
        """


class Gauss(Density):
    """The normal density."""

    name: ClassVar[str] = "gauss"

    def at(self, x: Real) -> Real:
        """Return the density f(x)."""
        return np.asarray(np.exp(-0.5 * np.square(x)) / _ROOT_2PI)

    def mass(self, a: Real, b: Real) -> Real:
        """Return P(a < X < b)."""
        return np.asarray(ndtr(-a) - ndtr(-b))

    def mean(self, a: Real, b: Real) -> Real:
        """Return E[X | a < X < b] = (f(a) - f(b)) / P(a < X < b), the middle where P vanishes."""
        mass = self.mass(a, b)
        middle = np.where(np.isfinite(b), (a + np.where(np.isfinite(b), b, a)) / 2, a)
        known = mass > 1e-280
        return np.where(known, (self.at(a) - self.at(b)) / np.where(known, mass, 1.0), middle)

    def log2_mass(self, a: Real, b: Real) -> Real:
        """Return log2 P(a < X < b)."""
        far, near = log_ndtr(-b), log_ndtr(-a)
        return np.asarray((near + np.log1p(-np.exp(far - near))) / np.log(2.0))

    def companded(self, share: Real) -> Real:
        """Return the quantile of a normal density of variance 3, of its positive half."""
        return np.asarray(np.sqrt(3.0) * ndtri(0.5 + share / 2))


class Laplace(Density):
    """The Laplace density, ``f(x) = exp(-sqrt(2) |x|) / sqrt(2)``."""

    name: ClassVar[str] = "laplace"

    def at(self, x: Real) -> Real:
        """Return the density f(x)."""
        return np.asarray(np.exp(-_RATE * np.abs(x)) / _RATE)

    def mass(self, a: Real, b: Real) -> Real:
        """Return P(a < X < b)."""
        return np.asarray(-0.5 * np.exp(-_RATE * a) * np.expm1(-_RATE * (b - a)))

    def mean(self, a: Real, b: Real) -> Real:
        """Return E[X | a < X < b] = a + 1 / r - w / (exp(r w) - 1), r = sqrt(2), w = b - a."""
        width = np.minimum(b - a, 500.0)  # beyond it nothing is left
        return np.asarray(a + 1.0 / _RATE - width / np.expm1(_RATE * width))

    def log2_mass(self, a: Real, b: Real) -> Real:
        """Return log2 P(a < X < b)."""
        return np.asarray((-_RATE * a + np.log(-np.expm1(-_RATE * (b - a)))) / np.log(2.0) - 1.0)

    def companded(self, share: Real) -> Real:
        """Return the quantile of an exponential density of mean 3 / sqrt(2)."""
        return np.asarray(-3.0 / _RATE * np.log1p(-share))


GAUSS, LAPLACE = Gauss(), Laplace()
DENSITIES: tuple[Density, ...] = (GAUSS, LAPLACE)
