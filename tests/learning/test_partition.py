"""Partitions share out all records, and are what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.learning.partition import partition

LABELS = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=60)


@settings(deadline=None)
@given(
    LABELS,
    st.integers(1, 9),
    st.sampled_from(["domain", "iid", "dirichlet"]),
    st.floats(0.05, 50),
    st.integers(0, 99),
)
def test_every_record_has_exactly_one_owner(labels, clients, kind, alpha, seed) -> None:
    if len(labels) < clients:
        with pytest.raises(InputError, match=r"clients\.count"):
            partition(labels, clients, kind, np.random.default_rng(seed), alpha=alpha)
        return
    parts = partition(labels, clients, kind, np.random.default_rng(seed), alpha=alpha)
    again = partition(labels, clients, kind, np.random.default_rng(seed), alpha=alpha)
    assert len(parts) == clients
    assert min(map(len, parts)) >= 1
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    assert all(np.array_equal(p, q) for p, q in zip(parts, again, strict=True))


def names(labels: list[str], parts: tuple[np.ndarray, ...]) -> list[str]:
    return ["".join(sorted({labels[i] for i in part})) for part in parts]


def test_one_domain_per_client() -> None:
    labels = list("cab" * 10)
    parts = partition(labels, 3, "domain", np.random.default_rng(0))
    assert names(labels, parts) == ["a", "b", "c"]


def test_clients_share_a_domain_when_there_are_more_clients() -> None:
    labels = list("ab" * 12)
    parts = partition(labels, 4, "domain", np.random.default_rng(0))
    assert names(labels, parts) == ["a", "b", "a", "b"]
    assert [len(part) for part in parts] == [6, 6, 6, 6]


def test_a_client_holds_several_domains_when_there_are_more_domains() -> None:
    labels = list("abcde" * 3)
    parts = partition(labels, 2, "domain", np.random.default_rng(0))
    assert names(labels, parts) == ["ace", "bd"]


def test_iid_parts_differ_by_at_most_one_record() -> None:
    parts = partition([""] * 23, 5, "iid", np.random.default_rng(0))
    assert sorted(map(len, parts)) == [4, 4, 5, 5, 5]


def test_a_small_alpha_makes_clients_unlike() -> None:
    labels = list("abcd" * 250)

    def skew(alpha: float) -> float:
        parts = partition(labels, 10, "dirichlet", np.random.default_rng(1), alpha=alpha)
        shares = [
            np.bincount(["abcd".index(labels[i]) for i in p], minlength=4) / len(p) for p in parts
        ]
        return float(np.mean([share.max() for share in shares]))

    assert skew(100.0) < 0.35 < 0.6 < skew(0.1)


@pytest.mark.parametrize("kind", ["domain", "dirichlet"])
def test_labels_are_needed(kind: str) -> None:
    with pytest.raises(InputError, match=r"data\.partition: .*data\.fields\.label or use 'iid'"):
        partition(["a", ""], 1, kind, np.random.default_rng(0))


def test_sizes_follow_the_shares_and_no_client_is_empty() -> None:
    random = np.random.default_rng(0)
    labels = [""] * 1000
    parts = partition(labels, 4, "size", random, shares=[4, 3, 2, 1])
    assert [len(part) for part in parts] == [400, 300, 200, 100]
    assert sorted(np.concatenate(parts)) == list(range(1000))
    steep = partition(labels[:20], 5, "size", random, shares=[1000, 1, 1, 1, 1])
    assert [len(part) for part in steep] == [16, 1, 1, 1, 1]
