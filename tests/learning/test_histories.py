"""Pairs of answers with their histories, in the shapes that data sets have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.learning.talking import ASKED, CALL, NAN, assistant, pair, system, user

from airtune.learning.data import Record, RecordError
from airtune.learning.pairs import encode_pairs
from airtune.learning.text import Encoder

SPOKEN = [system("S"), user("A"), assistant("B"), user("Q")]
SPOKEN_TURNS = (("system", "S"), ("user", "A"), ("assistant", "B"), ("user", "Q"))


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        # Texts.
        ({"prompt": "Q", "chosen": "yes", "rejected": "no"}, (("user", "Q"),)),
        # TRL, explicit prompt.
        (
            {"prompt": ASKED, "chosen": [assistant("yes")], "rejected": [assistant("no")]},
            (("user", "Q"),),
        ),
        (
            {"prompt": SPOKEN, "chosen": [assistant("yes")], "rejected": [assistant("no")]},
            SPOKEN_TURNS,
        ),
        # TRL, implicit prompt.
        (
            {"chosen": [*SPOKEN, assistant("yes")], "rejected": [*SPOKEN, assistant("no")]},
            SPOKEN_TURNS,
        ),
        (
            {
                "prompt": None,
                "chosen": [*SPOKEN, assistant("yes")],
                "rejected": [*SPOKEN, assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        # UltraFeedback: the prompt is a text and stands in the talks too, with more before it.
        (
            {
                "prompt": "Q",
                "chosen": [*ASKED, assistant("yes")],
                "rejected": [*ASKED, assistant("no")],
            },
            (("user", "Q"),),
        ),
        (
            {
                "prompt": "Q",
                "chosen": [system("S"), *ASKED, assistant("yes")],
                "rejected": [system("S"), *ASKED, assistant("no")],
            },
            (("system", "S"), ("user", "Q")),
        ),
        (
            {
                "prompt": "A",
                "chosen": [*SPOKEN, assistant("yes")],
                "rejected": [*SPOKEN, assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        # The prompt holds all of the talk, and the answers begin with some or all of it.
        (
            {
                "prompt": SPOKEN,
                "chosen": [*SPOKEN, assistant("yes")],
                "rejected": [*SPOKEN, assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        (
            {
                "prompt": SPOKEN,
                "chosen": [*SPOKEN[1:], assistant("yes")],
                "rejected": [*SPOKEN[-1:], assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        # Only the system in the prompt.
        (
            {
                "prompt": [system("S")],
                "chosen": [*ASKED, assistant("yes")],
                "rejected": [*ASKED, assistant("no")],
            },
            (("system", "S"), ("user", "Q")),
        ),
        # The prompt ends on the assistant's turn.
        (
            {
                "prompt": SPOKEN[:3],
                "chosen": [user("Q"), assistant("yes")],
                "rejected": [user("Q"), assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        (
            {
                "prompt": SPOKEN[:3],
                "chosen": [assistant("yes")],
                "rejected": [assistant("no")],
            },
            SPOKEN_TURNS[:3],
        ),
        # Talks and a text.
        (
            {"prompt": SPOKEN, "chosen": "yes", "rejected": [assistant("no")]},
            SPOKEN_TURNS,
        ),
        # Names of others.
        (
            {
                "prompt": [{"from": "human", "value": "Q"}],
                "chosen": [{"from": "gpt", "value": "yes"}],
                "rejected": [{"from": "model", "value": "no"}],
            },
            (("user", "Q"),),
        ),
    ],
)
def test_histories_of_pairs_are_kept(row: dict[str, Any], turns: Any) -> None:
    record = pair(row)
    assert (record.turns, record.output, record.rejected) == (turns, "yes", "no")
    assert record.worse is None or record.worse.turns == turns


def test_fields_of_other_names_are_read() -> None:
    """Orca DPO pairs: question, chosen, rejected as texts."""
    row = {"question": "Q", "chosen": "yes", "rejected": "no", "system": ""}
    assert pair(row, prompt="question").turns == (("user", "Q"),)


def test_each_answer_keeps_its_own_talk_where_they_differ() -> None:
    row = {
        "chosen": [user("A"), assistant("B"), user("C"), assistant("yes")],
        "rejected": [user("A"), assistant("X"), user("Y"), assistant("no")],
    }
    record = pair(row)
    assert record.turns == (("user", "A"), ("assistant", "B"), ("user", "C"))
    assert record.worse is not None
    assert record.worse.turns == (("user", "A"), ("assistant", "X"), ("user", "Y"))
    assert (record.output, record.worse.output, record.rejected) == ("yes", "no", "no")


def test_pairs_of_different_talks_are_encoded_each_with_its_own(encoder: Encoder) -> None:
    record = pair(
        {
            "prompt": "A",
            "chosen": [user("A"), assistant("B"), user("C"), assistant("yes")],
            "rejected": [user("A"), assistant("no")],
        }
    )
    (found,) = encode_pairs(encoder, [record])
    decode = encoder.tokenizer.decode
    assert "Response:\nB\n\n### Instruction:\nC" in decode(found.ids[: found.prompt])
    assert decode(found.worse.ids[: found.worse.prompt]) == (
        "### Instruction:\nA\n\n### Response:\n"
    )
    assert decode(found.worse.ids[found.worse.prompt : -1]) == "no"


def test_both_answers_of_a_pair_answer_the_same_cut_question(encoder: Encoder) -> None:
    question = " ".join(f"word{n}" for n in range(20))
    record = Record(question, "", "yes", rejected="no " * 30)
    short = Encoder(encoder.tokenizer, 32)
    (found,) = encode_pairs(short, [record])
    assert found.ids[: found.prompt] == found.worse.ids[: found.worse.prompt]
    assert len(found.worse.ids) == 32 and len(found.ids) <= 32
    assert found.ids[-1] == short.end
    # And as given where all fits.
    (whole,) = encode_pairs(Encoder(encoder.tokenizer, 400), [record])
    assert question in encoder.tokenizer.decode(whole.ids)


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"prompt": "Q", "chosen": "same", "rejected": "same"}, "both answers are the same"),
        (
            {"chosen": [*SPOKEN, assistant("x")], "rejected": [*SPOKEN, assistant("x")]},
            "both answers are the same",
        ),
        ({"prompt": "Q", "chosen": "", "rejected": "no"}, "no better answer"),
        ({"prompt": "Q", "chosen": "yes", "rejected": " \n"}, "no worse answer"),
        ({"prompt": "Q", "chosen": None, "rejected": "no"}, "no better answer"),
        ({"prompt": "Q", "chosen": "yes", "rejected": NAN}, "no worse answer"),
        ({"prompt": NAN, "chosen": "yes", "rejected": "no"}, "answer has nothing before it"),
        ({"prompt": "", "chosen": "yes", "rejected": "no"}, "answer has nothing before it"),
        ({"chosen": "yes", "rejected": "no"}, r"no field 'prompt' \(data\.fields\.prompt\)"),
        ({"prompt": "Q", "chosen": "yes"}, r"no field 'rejected'"),
        ({"prompt": "Q", "chosen": [], "rejected": "no"}, "no better answer"),
        ({"prompt": "Q", "chosen": {"a": 1}, "rejected": "no"}, "'chosen' .* must be text"),
        (
            {"prompt": "Q", "chosen": [*ASKED, assistant(""), user("?")], "rejected": "no"},
            "the better talk ends on a turn of 'user'",
        ),
        (
            {"prompt": "Q", "chosen": "yes", "rejected": [*ASKED, assistant(" ")]},
            "no worse answer",
        ),
        ({"chosen": [assistant("yes")], "rejected": [assistant("no")]}, "nothing before it"),
        # Talks that are not the prompt's.
        (
            {"prompt": "Q", "chosen": [user("R"), assistant("yes")], "rejected": "no"},
            "the better talk does not go on from the prompt",
        ),
        (
            {"prompt": ASKED, "chosen": "yes", "rejected": [system("S"), *ASKED, assistant("x")]},
            "the worse talk does not go on from the prompt",
        ),
        (
            {
                "prompt": [user("A"), assistant("B")],
                "chosen": [user("A"), assistant("yes")],
                "rejected": [user("A"), assistant("no")],
            },
            "the better talk does not go on from the prompt",
        ),
        (
            {"prompt": SPOKEN, "chosen": [*SPOKEN[:2], assistant("yes")], "rejected": "no"},
            "the better talk does not go on from the prompt",
        ),
        ({"prompt": [{"role": "robot", "content": "x"}], "chosen": "y", "rejected": "n"}, "robot"),
    ],
)
def test_pairs_that_cannot_be_used_are_left_out(row: dict[str, Any], match: str) -> None:
    with pytest.raises(RecordError, match=match):
        pair(row)


def test_tool_calls_and_tools_of_pairs_are_kept() -> None:
    """A call may be preferred to a text, and no text to a call."""
    row = {
        "tools": [{"type": "function", "function": {"name": "sum"}}],
        "prompt": ASKED,
        "chosen": [assistant(None, tool_calls=[CALL])],
        "rejected": [assistant("I cannot.")],
    }
    record = pair(row)
    assert json.loads(record.calls) == {"tool_calls": [CALL]}
    assert record.worse is not None and record.worse.calls == ""
    assert json.loads(record.tools) == json.loads(record.worse.tools) == row["tools"]
    turned = pair(row | {"chosen": row["rejected"], "rejected": row["chosen"]})
    assert turned.worse is not None and json.loads(turned.worse.calls) == {"tool_calls": [CALL]}


def test_a_worse_answer_may_be_a_call_alone() -> None:
    from tests.learning.chat_families_more import FAMILIES
    from tests.learning.chat_tokenizers import tokenizer_of

    chat = Encoder(tokenizer_of(FAMILIES["qwen2.5"]), 400)
    record = pair(
        {
            "prompt": ASKED,
            "chosen": [assistant("I know.")],
            "rejected": [assistant("", tool_calls=[CALL])],
        }
    )
    (found,) = encode_pairs(chat, [record])
    learnt = chat.tokenizer.decode(found.worse.ids[found.worse.prompt :])
    assert learnt.startswith('<tool_call>\n{"name": "sum"')
