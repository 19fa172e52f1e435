"""Tokenizers of several kinds, trained on the talks of the tests."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.learning.chat_families import TALKS, Family

TEXTS = [text for talk in TALKS for _, text in talk] * 4 + [
    "</turn>\n" * 40,
    "assistant user system\n\nassistant: user: USER: ASSISTANT: Bot: You: <think>\n\n</think>\n\n",
    "def f(x):\n    return x\n",
]


@cache
def byte_level(special: tuple[str, ...], swallows: tuple[str, ...], trim: bool) -> Any:
    """A BPE over bytes, as GPT-2, Llama 3 and Qwen have it.

    Symbols may take line breaks after them into one token, so that the end of a text changes with
    what follows.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, processors, trainers
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    split = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = Sequence(
        [Split(Regex(split), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim)
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False, rstrip=t in swallows) for t in special]
    )
    return tokenizer


@cache
def sentence_piece(special: tuple[str, ...], prefix: str) -> Any:
    """A Unigram model over words that begin with a blank, as SentencePiece writes them."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, trainers
    from tokenizers.pre_tokenizers import Metaspace

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = Metaspace(prepend_scheme=prefix)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=prefix)
    trainer = trainers.UnigramTrainer(
        vocab_size=150,
        unk_token="<unk>",
        special_tokens=["<unk>"],
        initial_alphabet=[chr(n) for n in range(33, 127)] + ["\n", "▁", "｜"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in special])
    return tokenizer


@cache
def words(special: tuple[str, ...]) -> Any:
    """A list of words and signs; what is not in it is unknown."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, trainers
    from tokenizers.pre_tokenizers import Split

    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split(Regex(r"\w+|[^\w]"), "isolated")
    trainer = trainers.WordLevelTrainer(special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in special])
    return tokenizer


def tokenizer_of(family: Family, kind: str = "bytes") -> Any:
    """A tokenizer with the special tokens and the template of a family."""
    from transformers import PreTrainedTokenizerFast

    own = (*family.special, family.eos, *([family.bos] if family.bos else []))
    special = tuple(dict.fromkeys(own))
    makers = {
        "bytes": lambda: byte_level(special, family.swallows, False),
        "bytes, blanks not in the offsets": lambda: byte_level(special, family.swallows, True),
        "sentence piece": lambda: sentence_piece(special, "always"),
        "sentence piece, first word": lambda: sentence_piece(special, "first"),
        "words": lambda: words(special),
        "slow": lambda: byte_level(special, family.swallows, False),
    }
    kind_of = Slow.of() if kind == "slow" else PreTrainedTokenizerFast
    tokenizer = kind_of(tokenizer_object=makers[kind](), bos_token=family.bos, eos_token=family.eos)
    tokenizer.chat_template = family.template
    return tokenizer


class Slow:
    """Makes tokenizers that do not tell the places of their tokens, as those in Python."""

    @staticmethod
    @cache
    def of() -> Any:
        from transformers import PreTrainedTokenizerFast

        class Tokenizer(PreTrainedTokenizerFast):  # type: ignore[misc]
            is_fast = False

            def __call__(self, *args: Any, **options: Any) -> Any:
                if options.get("return_offsets_mapping"):
                    raise NotImplementedError("a slow tokenizer has no offsets")
                return super().__call__(*args, **options)

        return Tokenizer
