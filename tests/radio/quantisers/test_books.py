"""Code books against the distortions in the literature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from airtune.radio.quantisers.books import lloyd_max
from airtune.radio.quantisers.densities import DENSITIES, GAUSS, LAPLACE, Density

# Max 1960 (table I) and Paez, Glisson, IEEE Trans. Commun. 20(2), 1972 (table III)
KNOWN = {
    GAUSS: {1: 0.3634, 2: 0.1175, 3: 0.03454, 4: 0.009497},
    LAPLACE: {1: 0.5, 2: 0.1762, 3: 0.0545, 4: 0.0154},
}
PANTER_DITE = {GAUSS: np.sqrt(3.0) * np.pi / 2.0, LAPLACE: 4.5}


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_distortions_are_those_of_the_literature(density: Density, bits: int) -> None:
    assert lloyd_max(density, bits).distortion == pytest.approx(KNOWN[density][bits], rel=4e-3)


@pytest.mark.parametrize("density", DENSITIES)
def test_many_bits_reach_the_law_of_fine_quantisation(density: Density) -> None:
    for bits, within in ((8, 0.02), (12, 0.002), (16, 0.001)):
        ratio = lloyd_max(density, bits).distortion * 4.0**bits / PANTER_DITE[density]
        assert ratio == pytest.approx(1.0, abs=within)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("bits", range(1, 17))
def test_levels_are_the_means_of_their_cells(density: Density, bits: int) -> None:
    book = lloyd_max(density, bits)
    assert len(book.levels) == 2**bits
    assert np.all(np.diff(book.levels) > 0)
    assert np.array_equal(book.levels, -book.levels[::-1])
    positive = book.levels[2 ** (bits - 1) :]
    ends = np.concatenate([[0.0], (positive[1:] + positive[:-1]) / 2, [np.inf]])
    assert np.allclose(density.mean(ends[:-1], ends[1:]), positive, atol=1e-9)


@pytest.mark.parametrize("density", DENSITIES)
def test_masses_and_means_add_up(density: Density) -> None:
    ends = np.concatenate([np.linspace(0, 6, 200), [np.inf]])
    mass, mean = density.mass(ends[:-1], ends[1:]), density.mean(ends[:-1], ends[1:])
    assert mass.sum() == pytest.approx(0.5, rel=1e-12)
    fine = np.linspace(0, 40, 400_001)
    expected = np.sum(fine * density.at(fine)) * (fine[1] - fine[0])
    assert mass @ mean == pytest.approx(expected, rel=1e-6)
    assert np.allclose(np.exp2(density.log2_mass(ends[:-1], ends[1:])), mass, rtol=1e-9)


def test_masses_too_small_for_a_float_have_a_logarithm() -> None:
    a, b = np.array([60.0]), np.array([61.0])
    assert GAUSS.mass(a, b)[0] == 0.0
    assert GAUSS.log2_mass(a, b)[0] == pytest.approx(-(60.0**2) / 2 / np.log(2), rel=0.01)
    assert GAUSS.mean(a, b)[0] == 60.5


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(DENSITIES),
    st.integers(1, 12),
    arrays(np.float64, 20, elements=st.floats(-1e300, 1e300)),
)
def test_the_table_finds_what_a_search_finds(
    density: Density, bits: int, values: np.ndarray
) -> None:
    book = lloyd_max(density, bits)
    at = book.thresholds[:: max(1, len(book.thresholds) // 50)]
    edges = [at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), [0.0, -0.0]]
    every = np.concatenate([values, values % 4.0 - 2.0, *edges])
    found = book.levels[np.searchsorted(book.thresholds, every, side="right")]
    assert np.array_equal(book.quantise(every), found)


@pytest.mark.parametrize("density", DENSITIES)
def test_the_table_of_the_finest_book_has_all_its_levels(density: Density) -> None:
    book = lloyd_max(density, 16)
    assert np.array_equal(book.quantise(book.levels), book.levels)
