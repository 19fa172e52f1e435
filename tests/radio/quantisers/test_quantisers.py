"""What all quantisers have in common, and each one's distortion and bits."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from airtune.kinds import Real
from airtune.radio.quantisers import Entropy, LloydMax, Quantiser, TopK, Uniform, encode
from airtune.radio.quantisers.books import lloyd_max
from airtune.radio.quantisers.coding import Coding
from airtune.radio.quantisers.densities import GAUSS, LAPLACE, Density

SIZES, SPANS = (30, 10), (slice(0, 30), slice(30, 40))
UPDATES = arrays(np.float32, 40, elements=st.floats(-(2.0**100), 2.0**100, width=32))
QUANTISERS = st.builds(
    lambda kind, bits, share: TopK(bits, share) if kind is TopK else kind(bits),
    st.sampled_from([Uniform, LloydMax, Entropy, TopK]),
    st.integers(1, 16),
    st.sampled_from([0.01, 0.1, 0.5, 1.0]),
)


def entries(density: Density, count: int, seed: int = 0) -> Real:
    rng = np.random.default_rng(seed)
    if density is GAUSS:
        return rng.standard_normal(count)
    return rng.laplace(scale=np.sqrt(0.5), size=count)


@settings(max_examples=150, deadline=None)
@given(UPDATES, QUANTISERS)
def test_the_error_is_never_above_the_group(update: Real, quantiser: Quantiser) -> None:
    found = quantiser.quantise(update, SIZES)
    assert np.isfinite(found.values).all()
    for span in SPANS:
        group = update[span].astype(np.float64)
        size = np.abs(group).max()
        if size > 0:
            lost = np.sum(((group - found.values[span]) / size) ** 2)
            assert lost <= np.sum((group / size) ** 2) * (1 + 1e-9)
        else:
            assert not found.values[span].any()
    sent = sum(len(update[span]) for span in SPANS if update[span].any())
    assert found.entries == sent
    assert found.header_bits == 2 * quantiser.group_bits
    assert (found.payload_bits > 0) == (sent > 0)


@settings(max_examples=60, deadline=None)
@given(arrays(np.int64, 40, elements=st.integers(-99, 99)), QUANTISERS, st.integers(-20, 20))
def test_a_longer_update_is_rounded_alike(update: Real, quantiser: Quantiser, by: int) -> None:
    """A power of two as factor changes no digit."""
    factor = 2.0**by
    small, large = (quantiser.quantise(x, SIZES) for x in (1.0 * update, update * factor))
    assert large.bits == small.bits
    assert np.allclose(large.values, small.values * factor, rtol=1e-6, atol=0)


@settings(max_examples=40, deadline=None)
@given(QUANTISERS, st.integers(0, 2**32))
def test_what_is_missing_is_the_memory(quantiser: Quantiser, seed: int) -> None:
    rng = np.random.default_rng(seed)
    memory, sent, wanted = None, np.zeros(40), np.zeros(40)
    for _ in range(20):
        update = (1.0 + rng.standard_normal(40)).astype(np.float32)
        decoded, memory = encode(quantiser, update, memory, SIZES)
        sent, wanted = sent + decoded.values, wanted + update
    np.testing.assert_allclose(sent + memory, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("quantiser", [LloydMax(1), Entropy(1), TopK(4, 0.1), Uniform(1)])
def test_the_memory_stays_bounded(quantiser: Quantiser) -> None:
    rng, memory, sizes = np.random.default_rng(4), None, []
    for _ in range(400):
        _, memory = encode(quantiser, rng.standard_normal(40), memory, SIZES)
        sizes.append(np.linalg.norm(memory))
    assert np.mean(sizes[300:]) < 1.3 * np.mean(sizes[100:200])


@pytest.mark.parametrize("quantiser", [LloydMax(2), Entropy(2), TopK(4, 0.3)])
def test_the_error_with_feedback_is_twice_that_without(quantiser: Quantiser) -> None:
    rng, memory, errors = np.random.default_rng(5), None, []
    for _ in range(30):
        update = rng.laplace(scale=np.sqrt(0.5), size=5000)
        sent, memory = encode(quantiser, update, memory, [5000])
        errors.append(np.mean((sent.values - update) ** 2))
    plain, with_feedback = quantiser.error_of([5000], False), quantiser.error_of([5000], True)
    assert with_feedback == 2 * plain
    assert np.mean(errors[10:]) == pytest.approx(with_feedback, rel=0.3)


@pytest.mark.parametrize("density", [GAUSS, LAPLACE])
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_lloyd_max_has_the_distortion_of_theory(density: Density, bits: int) -> None:
    update = entries(density, 400_000)
    sent = LloydMax(bits).quantise(update, [400_000])
    found = np.mean((sent.values - update) ** 2) / np.mean(update**2)
    assert found == pytest.approx(lloyd_max(density, bits).distortion, rel=0.02)
    assert sent.bits == 400_000 * bits + 33


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_entropy_coded_grid_has_the_distortion_and_rate_of_theory(bits: int) -> None:
    update = entries(LAPLACE, 200_000)
    quantiser = Entropy(bits)
    sent = quantiser.quantise(update, [200_000])
    assert sent.payload_bits == pytest.approx(bits * 200_000, rel=0.01)
    assert sent.payload_bits == pytest.approx(quantiser.expected_bits([200_000]), rel=0.01)
    found = np.mean((sent.values - update) ** 2) / np.mean(update**2)
    assert found == pytest.approx(quantiser.expected_error([200_000]), rel=0.02)
    # no code of this rate does better (Shannon's lower bound for a Laplace density)
    assert found > np.e / np.pi * 4.0**-bits * 0.99


def test_fine_grids_with_entropy_coding_reach_the_law_of_many_bits() -> None:
    """255 / 1000 bits above Shannon's bound: a factor of pi e / 6."""
    assert Entropy(14).expected_error([1]) * 4.0**14 == pytest.approx(np.e**2 / 6, rel=0.01)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_top_k_has_the_distortion_of_theory(share: float) -> None:
    update, quantiser = entries(LAPLACE, 200_000), TopK(4, share)
    sent = quantiser.quantise(update, [200_000])
    found = np.mean((sent.values - update) ** 2) / np.mean(update**2)
    assert found == pytest.approx(quantiser.expected_error([200_000]), rel=0.03)
    assert np.count_nonzero(sent.values) == share * 200_000
    assert sent.payload_bits == quantiser.expected_bits([200_000])


@pytest.mark.parametrize(("count", "kept"), [(8, 2), (40, 10), (64, 64), (7, 1), (100, 37)])
def test_positions_take_the_bits_of_enumeration(count: int, kept: int) -> None:
    update = np.random.default_rng(1).standard_normal(count)
    sent = TopK(5, kept / count).quantise(update, [count])
    assert sent.payload_bits == 5 * kept + (comb(count, kept) - 1).bit_length()
    largest = np.sort(np.argsort(-np.abs(update))[:kept])
    assert np.array_equal(np.flatnonzero(sent.values), largest)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("density", [GAUSS, LAPLACE])
def test_booked_bits_are_what_a_range_coder_writes(density: Density, bits: int) -> None:
    stream = pytest.importorskip("constriction").stream
    quantiser, sizes = Entropy(bits), (1280, 3000, 720)
    update = entries(density, 5000) * np.repeat([1.0, 20.0, 0.01], sizes)
    coder = stream.queue.RangeEncoder()
    for group in np.split(update, np.cumsum(sizes)[:-1]):
        indices = quantiser.indices(group).astype(np.int32)
        largest, counts = int(np.abs(indices).max()), np.abs(indices)
        each = np.arange(largest + 1)
        lengths = [quantiser.code_lengths(d, each, largest)[counts].sum() for d in (GAUSS, LAPLACE)]
        step = quantiser.step
        model = (
            stream.model.QuantizedGaussian(-largest, largest, 0.0, 1.0 / step)
            if lengths[0] < lengths[1]
            else stream.model.QuantizedLaplace(-largest, largest, 0.0, np.sqrt(0.5) / step)
        )
        coder.encode(indices, model)
    written = 32 * len(coder.get_compressed())
    assert quantiser.quantise(update, sizes).payload_bits == pytest.approx(written, rel=0.01)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_groups_are_coded_together_as_each_would_be_alone(bits: int) -> None:
    """To the last bit, whatever stands beside a group."""
    rng, quantiser = np.random.default_rng(bits), Entropy(bits)
    sizes = [5, 300, 1, 13_000, 0, 300, 40, 300, 12_000, 2]
    update = rng.standard_normal(sum(sizes)) * np.repeat(10.0 ** rng.integers(-9, 9, 10), sizes)
    update[305] = 0.0  # a group of one zero
    update[306] = 1e6 * np.abs(update[306:13_306]).max()  # few of many indices occur
    sent, length = quantiser.quantise(update, sizes), 0.0
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        group = update[end - size : end]
        if not group.any():
            assert not sent.values[end - size : end].any()
            continue
        values, bits_of_group = alone(quantiser, group)
        assert sent.values[end - size : end].tobytes() == values.tobytes()
        length += bits_of_group
    assert sent.payload_bits == quantiser.whole(length)


def alone(quantiser: Entropy, group: Real) -> tuple[Real, float]:
    """Return what is decoded of a group and its bits, by the definition of the quantiser."""
    top = np.abs(group).max()
    unit = group / top
    indices = np.rint(unit / np.sqrt(np.mean(unit**2)) / quantiser.step).astype(np.int64)
    moduli, places, counts = np.unique(np.abs(indices), return_inverse=True, return_counts=True)
    largest = int(moduli[-1])
    lengths = [float(counts @ quantiser.code_lengths(d, moduli, largest)) for d in (GAUSS, LAPLACE)]
    density = (GAUSS, LAPLACE)[int(np.argmin(lengths))]
    middles = quantiser.step * moduli
    means = density.mean(middles - quantiser.step / 2, middles + quantiser.step / 2)
    levels = np.copysign(np.where(moduli == 0, 0.0, means)[places], unit)
    decoded = float(levels @ unit) / float(levels @ levels) * levels
    scale = np.abs(decoded).max()
    return decoded * (float(np.float32(scale * top)) / scale), min(lengths)


def test_the_better_book_is_taken() -> None:
    for density in (GAUSS, LAPLACE):
        update = entries(density, 50_000)
        found = np.mean((LloydMax(3).quantise(update, [50_000]).values - update) ** 2)
        other = LAPLACE if density is GAUSS else GAUSS
        unit = update / np.sqrt(np.mean(update**2))
        wrong = lloyd_max(other, 3).quantise(unit)
        assert found < 0.95 * np.mean((wrong * np.sqrt(np.mean(update**2)) - update) ** 2)


@pytest.mark.parametrize("outlier", [1e3, 1e6])
def test_one_large_entry_among_many_small_ones(outlier: float) -> None:
    update = np.append(np.random.default_rng(1).standard_normal(20_000), outlier)
    for quantiser in (LloydMax(4), Entropy(16), Entropy(4), TopK(4, 0.01)):
        sent = quantiser.quantise(update, [20_001])
        assert sent.payload_bits <= 64 * 20_001
        assert np.sum((sent.values - update) ** 2) <= np.sum(update**2)


def test_codings_are_written_and_read() -> None:
    for coding in (Coding("lloyd-max", 2, feedback=False), Coding("top-k", 4, True, 0.1)):
        assert Coding.from_dict(coding.to_dict()) == coding
