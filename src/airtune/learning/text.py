"""Text to tokens: prompt templates, encoding, and the tokenizer of the small model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airtune.errors import InputError
from airtune.learning.data import Record

INSTRUCTION = "### Instruction:\n"
INPUT = "\n\n### Input:\n"
RESPONSE = "\n\n### Response:\n"
END = "<|end|>"
PAD = "<|pad|>"
# A digit is a token of its own, so that numbers have one spelling.
SPLIT = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"


@dataclass(frozen=True, slots=True)
class Example:
    """A record as tokens: the prompt, then the answer with its end token.

    Attributes
    ----------
    ids : tuple of int
        Tokens of prompt and response.
    prompt : int
        Number of prompt tokens, at least 1; ``ids[prompt:]`` is the response.
    label : str
        Domain of the record.
    """

    ids: tuple[int, ...]
    prompt: int
    label: str


def alpaca_prompt(record: Record) -> str:
    """Return the Alpaca-style prompt of a record, up to where the answer starts."""
    middle = INPUT + record.input if record.input else ""
    before = "".join(
        (RESPONSE if role == "assistant" else INSTRUCTION) + content + "\n\n"
        for role, content in record.history
    ).replace("\n\n\n\n", "\n\n")
    return before + INSTRUCTION + record.instruction + middle + RESPONSE


def question(record: Record) -> str:
    """Return instruction and input as one text."""
    return "\n\n".join(part for part in (record.instruction, record.input) if part)


class Encoder:
    """Turns records into examples for one tokenizer.

    Only the response is learnt: the answer and the token that ends it (of a chat template the one
    that closes the turn, else the end token).  A record without a prompt (plain
    text) is learnt whole; its prompt is the start token, or the end token where there is none.

    Parameters
    ----------
    tokenizer : transformers tokenizer
        Must have an end token.
    max_tokens : int
        Longest example.  Of a longer one first the answer loses its end (and its end token), down
        to half of `max_tokens`, then the prompt its front: no answer is learnt without its prompt.
    template : str
        ``alpaca``, ``chat`` (the tokenizer's own), ``plain`` (the texts by themselves), ``auto``
        (chat if the tokenizer has one, else alpaca), or a text with ``{instruction}`` and
        ``{input}``.

    Raises
    ------
    InputError
        The template is ``chat`` and the tokenizer has none, or it refuses a record.

    Examples
    --------
    >>> from airtune.learning.data import Record
    >>> tokenizer = train_tokenizer(["add the numbers"], vocabulary=300)
    >>> encoder = Encoder(tokenizer, max_tokens=64, template="plain")
    >>> (example,) = encoder.encode([Record("add", "1 2", "3", label="sums")])
    >>> tokenizer.decode(example.ids[: example.prompt])
    'add\\n\\n1 2\\n'
    >>> tokenizer.decode(example.ids[example.prompt :])
    '3<|end|>'
    """

    def __init__(self, tokenizer: Any, max_tokens: int, template: str = "auto") -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        chat = bool(tokenizer.chat_template)
        self.template = ("chat" if chat else "alpaca") if template == "auto" else template
        if self.template == "chat" and not chat:
            raise InputError(
                "data.template: 'chat' needs a model whose tokenizer has a chat template; allowed "
                "are alpaca, plain or a text with {instruction}"
            )
        self.end = self._end_of_answers()
        # Encoding nothing shows whether the tokenizer starts every text with a special token.
        start = tokenizer.bos_token_id
        starts = start is not None and start in tokenizer("").input_ids
        self._start = [int(start)] if starts else []

    def prompt(self, record: Record) -> str:
        """Return the text that the model sees before it answers."""
        if not (record.instruction or record.input or record.history):
            return ""
        if self.template == "chat":
            turns = [*record.history, ("user", question(record))]
            return self._chat(turns, add_generation_prompt=True)
        if self.template == "alpaca":
            return alpaca_prompt(record)
        before = "".join(content + "\n\n" for _, content in record.history)
        if self.template == "plain":
            return before + question(record) + "\n"
        # Not str.format: texts may hold braces of their own.
        pattern = re.compile(r"\{(instruction|input)\}")
        return before + pattern.sub(lambda m: str(getattr(record, m[1])), self.template)

    def encode(self, records: Sequence[Record], *, rejected: bool = False) -> list[Example]:
        """Return the examples of `records`, in order; with their worse answers if `rejected`."""
        if not records:
            return []
        prompts = self._tokens([self.prompt(record) for record in records])
        answers = self._tokens([r.rejected if rejected else r.output for r in records])
        # A chat template writes the start token itself.
        start = [] if self.template == "chat" else self._start
        return [
            self._join(start + prompt or [self._first()], [*answer, self.end], record.label)
            for prompt, answer, record in zip(prompts, answers, records, strict=True)
        ]

    def question(self, record: Record) -> list[int]:
        """Return the tokens of a record's prompt, at most `max_tokens` (of the end of it)."""
        return list(self.encode([replace(record, output="")])[0].ids[:-1])

    def _chat(self, turns: Sequence[tuple[str, str]], **options: bool) -> str:
        from jinja2 import TemplateError

        messages = [{"role": role, "content": content} for role, content in turns]
        try:
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, **options))
        except TemplateError as error:
            raise InputError(
                f"data.template: the model's chat template refuses a record ({error}); allowed "
                "besides are alpaca, plain or a text with {instruction}"
            ) from None

    def _end_of_answers(self) -> int:
        """Return the token that closes a turn in the chat template if it has one, or the end."""
        if self.template == "chat":
            text = self._chat([("user", "?"), ("assistant", "=answer=")])
            after = self._tokens([text.rpartition("=answer=")[2].lstrip()])[0]
            known = self.tokenizer.added_tokens_decoder
            if after and after[0] in known and known[after[0]].special:
                return after[0]
        return int(self.tokenizer.eos_token_id)

    def _first(self) -> int:
        start = self.tokenizer.bos_token_id
        return int(self.tokenizer.eos_token_id if start is None else start)

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False).input_ids
        return ids

    def _join(self, prompt: list[int], response: list[int], label: str) -> Example:
        response = response[: max(self.max_tokens - len(prompt), self.max_tokens // 2)]
        prompt = prompt[-(self.max_tokens - len(response)) :]
        return Example((*prompt, *response), len(prompt), label)


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
