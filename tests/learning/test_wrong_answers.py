"""Label noise: whose answers are wrong, and that nobody else notices."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.learning.learner import Learner, prepared_from
from airtune.learning.pairs import Pair
from airtune.learning.text import Example
from airtune.learning.wrong_answers import wrong_answers


def test_every_question_gets_the_answer_of_another(examples: list[Example]) -> None:
    wrong = wrong_answers(examples, seed=1, client=2, max_tokens=96)
    assert len(wrong) == len(examples)
    answers = sorted(example.ids[example.prompt :] for example in examples)
    assert sorted(example.ids[example.prompt :] for example in wrong) == answers
    for one, other in zip(examples, wrong, strict=True):
        assert other.ids[: other.prompt] == one.ids[: one.prompt]
        assert other.label == one.label
    assert wrong == wrong_answers(examples, seed=1, client=2, max_tokens=96)
    assert wrong != wrong_answers(examples, seed=1, client=3, max_tokens=96)


def test_nobody_keeps_its_own_answer() -> None:
    for count in range(2, 9):
        own = [Example((1, 100 + n), 1, "") for n in range(count)]
        for seed in range(10):
            wrong = wrong_answers(own, seed, client=0, max_tokens=8)
            assert all(a.ids != b.ids for a, b in zip(own, wrong, strict=True))
    alone = (Example((1, 2), 1, ""),)
    assert wrong_answers(alone, 1, 0, 8) == alone


def test_a_longer_answer_is_cut_and_turns_of_others_stay_given() -> None:
    talk = Example(tuple(range(10, 20)), 2, "talk", skipped=((5, 7),))  # learnt 2-5 and 7-10
    short = Example((1, 2, 3, 4, 5), 4, "short")
    one, other = wrong_answers([short, talk], seed=1, client=0, max_tokens=12)
    assert one.ids == (1, 2, 3, 4, *range(12, 20))
    assert one.learnt == ((4, 7), (9, 12))
    assert other.ids == (10, 11, 5)
    assert other.learnt == ((2, 3),)
    for limit, ids, learnt in (
        (10, (1, 2, 3, 4, *range(12, 18)), ((4, 7), (9, 10))),
        (9, (1, 2, 3, 4, 12, 13, 14), ((4, 7),)),  # what is given is not the end
        (8, (1, 2, 3, 4, 12, 13, 14), ((4, 7),)),
        (5, (1, 2, 3, 4, 12), ((4, 5),)),
        (2, (1, 2, 3, 4, 12), ((4, 5),)),
    ):
        cut = wrong_answers([short, talk], seed=1, client=0, max_tokens=limit)[0]
        assert (cut.ids, cut.learnt) == (ids, learnt)


def test_of_pairs_the_worse_answer_passes_for_the_better() -> None:
    pair = Pair((1, 2, 3), 1, "d", worse=Example((1, 4), 1, "d"))
    (wrong,) = wrong_answers([pair], seed=1, client=0, max_tokens=8)
    assert isinstance(wrong, Pair)
    assert (wrong.ids, wrong.worse.ids) == ((1, 4), (1, 2, 3))
    assert wrong_answers([wrong], 1, 0, 8) == (pair,)


def test_a_poisoned_client_learns_from_them_and_the_others_do_not_notice(
    learner: Learner, scenario_with
) -> None:
    noisy = scenario_with(
        faults__poison={"kind": "label-noise", "share": 0.2, "from_round": 2},
    )
    assert prepared_from(noisy) == prepared_from(learner.scenario)
    poisoned = set(noisy.faults.poison.clients(10, 3))
    assert len(poisoned) == 2
    adapter = learner.initial_adapter()
    clients, batches = list(range(10)), [2] * 10

    def updates(scenario, round_index: int) -> list:
        return learner.under(scenario).client_updates(adapter, clients, batches, 3, round_index)

    for one, other in zip(updates(learner.scenario, 1), updates(noisy, 1), strict=True):
        assert np.array_equal(one.update, other.update)
    pairs = zip(updates(learner.scenario, 2), updates(noisy, 2), strict=True)
    for client, (one, other) in enumerate(pairs):
        assert np.array_equal(one.update, other.update) == (client not in poisoned)
        assert other.finite
    assert learner.under(noisy).holdings() == learner.holdings()


@pytest.mark.parametrize("kind", ["sign-flip", "scaling", "random"])
def test_other_kinds_leave_the_data_alone(learner: Learner, scenario_with, kind: str) -> None:
    scenario = scenario_with(faults__poison={"kind": kind, "share": 1.0})
    adapter = learner.initial_adapter()
    one, other = (
        which.client_update(adapter, 0, 2, 3, 1) for which in (learner, learner.under(scenario))
    )
    assert np.array_equal(one.update, other.update)
