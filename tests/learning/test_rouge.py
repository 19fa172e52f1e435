"""ROUGE-L against the definition and against the package's own tokenizer."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.learning.rouge import Words, rouge_l

WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd"]), max_size=8)


def longest(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Length of the longest common subsequence, by the recursion that defines it."""

    @cache
    def of(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return 0
        if one[i - 1] == other[j - 1]:
            return of(i - 1, j - 1) + 1
        return max(of(i - 1, j), of(i, j - 1))

    return of(len(one), len(other))


@settings(deadline=None, max_examples=30)
@given(WORDS, WORDS)
def test_it_is_twice_the_common_words_over_all(reference: list[str], answer: list[str]) -> None:
    (found,) = rouge_l([" ".join(reference)], [" ".join(answer)])
    if not reference:
        assert found is None
    else:
        common = longest(tuple(reference), tuple(answer))
        assert found == pytest.approx(2 * common / (len(reference) + len(answer)))


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_words_of_ascii_are_those_of_the_package(text: str) -> None:
    from rouge_score.tokenizers import DefaultTokenizer

    assert Words().tokenize(text) == DefaultTokenizer().tokenize(text)


def test_other_scripts_count() -> None:
    assert rouge_l(["Grüße aus Köln"], ["grüße aus Bonn"]) == [pytest.approx(2 / 3)]
    assert rouge_l(["今天天气很好"], ["今天天气不好"]) == [pytest.approx(5 / 6)]
    assert rouge_l(["ответ да", "…"], ["ответ да", "x"]) == [1.0, None]
