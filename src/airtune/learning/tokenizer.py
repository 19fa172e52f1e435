"""The tokenizer of the small model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

INSTRUCTION = "### Instruction:\n"
INPUT = "\n\n### Input:\n"
RESPONSE = "\n\n### Response:\n"
END = "<|end|>"
PAD = "<|pad|>"
# A digit is a token of its own, so that numbers have one spelling.
SPLIT = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Train a byte-level BPE tokenizer [1]_ for the small model.

    Any text can be encoded, since every byte is a token.  The section headings of the prompt
    template are one token each: they are in every prompt and say nothing by their letters.

    Parameters
    ----------
    texts : iterable of str
        Training texts, without the headings.
    vocabulary : int
        Tokens at most, at least 300.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
        With the end token ``<|end|>`` and the pad token ``<|pad|>``.

    References
    ----------
    .. [1] Sennrich, Haddow, Birch: Neural machine translation of rare words with subword units,
       2016.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    headings = [AddedToken(text, normalized=False) for text in (INSTRUCTION, INPUT, RESPONSE)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(headings),
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(headings)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)
