"""Records to tokens: prompts by a template, the answer with its end, what is learnt of them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

from airtune.errors import InputError
from airtune.learning.chat_template import ChatTemplate, Rendered
from airtune.learning.data import Record, RecordError, Turn
from airtune.learning.example import Example as Example
from airtune.learning.splice import spliced
from airtune.learning.tokenizer import INPUT, INSTRUCTION, RESPONSE
from airtune.scenario.learning import Data

MOST_CUTS = 200
"""Times that a prompt is shortened before it is given up."""

TURN_TOKENS = 16
"""What a template writes about a turn, at most, for a guess of how many turns are too many."""


def alpaca_prompt(record: Record) -> str:
    """Return the Alpaca-style prompt of a record, up to where the answer starts."""
    middle = INPUT + record.input if record.input else ""
    # The heading of an answer begins with an empty line, which ends a turn before it.
    answered = RESPONSE.removeprefix("\n\n")
    before = "".join(
        (answered if turn[0] == "assistant" else INSTRUCTION) + turn[1] + "\n\n"
        for turn in record.history
    )
    if record.history and record.history[0][0] == "assistant":
        before = "\n\n" + before
    if not (record.instruction or record.input):
        return before.removesuffix("\n\n") + RESPONSE
    return before + INSTRUCTION + record.instruction + middle + RESPONSE


class Encoder:
    """Turns records into examples for one tokenizer.

    Prompt and answer are written as one text by the template and tokenised as one.  Learnt is what
    follows the prompt, up to and with what ends the answer: of a chat template what it writes
    there, else (or where it writes nothing) the end token.  A record without a prompt (plain
    text) is learnt whole; its prompt is the start token, or the end token where there is none, and
    the end token follows the end of a document only.

    Parameters
    ----------
    tokenizer : transformers tokenizer
        Must have an end token.
    max_tokens : int
        Longest example.  Of a longer one first the answer loses its end, down to half of
        `max_tokens`; then its talk the oldest turns after those of the system, and the question
        its front.  What the template opens it with is kept.
    template : str
        ``alpaca``, ``chat`` (the tokenizer's own), ``plain`` (the texts by themselves), ``auto``
        (chat if the tokenizer has one, else alpaca), or a text with ``{instruction}`` and
        ``{input}``.
    turns : {"last", "all"}
        Whether a talk's last answer is learnt, or all turns of the assistant (chat only).
    date : datetime.date, optional
        What a chat template that asks the clock is told; today by default.
    options : mapping, optional
        Variables of the chat template.

    Raises
    ------
    InputError
        The template is ``chat`` and the tokenizer has none, or `turns` needs one.

    Examples
    --------
    >>> from airtune.learning.tokenizer import train_tokenizer
    >>> tokenizer = train_tokenizer(["add the numbers"], vocabulary=300)
    >>> encoder = Encoder(tokenizer, max_tokens=64, template="plain")
    >>> (example,) = encoder.encode([Record("add", "1 2", "3", label="sums")])
    >>> tokenizer.decode(example.ids[: example.prompt])
    'add\\n\\n1 2\\n'
    >>> tokenizer.decode(example.ids[example.prompt :])
    '3<|end|>'
    """

    def __init__(
        self,
        tokenizer: Any,
        max_tokens: int,
        template: str = "auto",
        *,
        turns: str = "last",
        date: datetime.date | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.turns = turns
        chat = bool(tokenizer.chat_template)
        self.template = ("chat" if chat else "alpaca") if template == "auto" else template
        if self.template == "chat" and not chat:
            raise InputError(
                "data.template: 'chat' needs a model whose tokenizer has a chat template; allowed "
                "are alpaca, plain or a text with {instruction}"
            )
        if turns == "all" and self.template != "chat":
            raise InputError(
                "data.turns = all: needs a model whose tokenizer has a chat template, and "
                "data.template = chat; allowed besides is last"
            )
        self.chat = ChatTemplate(tokenizer, date, options) if self.template == "chat" else None
        closing = self.chat.closing if self.chat is not None else ""
        eos = int(tokenizer.eos_token_id)
        after = self._tokens([closing])[0][0] if closing else [eos]
        # A marker that is no special token ends an answer as a text.
        self._special = _special_ids(tokenizer)
        special = after[-1] in self._special
        self.marker = "" if special else closing
        self.end = after[-1] if special else eos
        self._adds_end = not closing
        # Encoding nothing shows whether the tokenizer starts every text with a special token.
        start = tokenizer.bos_token_id
        starts = start is not None and start in tokenizer("").input_ids
        # A chat template writes the start token itself.
        self._start = [int(start)] if starts and self.chat is None else []

    @classmethod
    def of(cls, settings: Data, tokenizer: Any) -> Encoder:
        """Return the encoder that the section `data` asks for."""
        return cls(
            tokenizer,
            settings.max_tokens,
            settings.template,
            turns=settings.turns,
            date=settings.date,
            options=settings.template_options,
        )

    def prompt(self, record: Record) -> str:
        """Return the text that the model sees before it answers.

        Raises
        ------
        RecordError
            The template cannot write the talk.
        """
        if not record.turns:
            return ""
        if self.chat is not None:
            return self.chat.prompt(record.turns, record.tools, record.place)
        self._check_plain_turns(record)
        if self.template == "alpaca":
            return alpaca_prompt(record)
        before = "".join(turn[1] + "\n\n" for turn in record.history)
        asked = "\n\n".join(part for part in (record.instruction, record.input) if part)
        if self.template == "plain":
            return (before + asked if asked else before.removesuffix("\n\n")) + "\n"
        # Not str.format: texts may hold braces of their own.
        pattern = re.compile(r"\{(instruction|input)\}")
        return before + pattern.sub(lambda m: str(getattr(record, m[1])), self.template)

    def encode(
        self, records: Sequence[Record], *, rejected: bool = False, room: int = 0
    ) -> list[Example]:
        """Return the examples of `records`, in order; with their worse answers if `rejected`.

        A prompt leaves a place for `room` tokens at least, if that takes no more than half.

        Raises
        ------
        RecordError
            The template cannot write a record, or `max_tokens` cannot hold its prompt.
        """
        if rejected:
            records = [r.worse or replace(r, output=r.rejected, calls="") for r in records]
        if not records:
            return []
        written = [self._written(record) for record in records]
        tokens = self._tokens([text.text for text in written])
        return [
            self._fitted(record, text, self._example(record, text, found), room)
            for record, text, found in zip(records, written, tokens, strict=True)
        ]

    def question(self, record: Record) -> list[int]:
        """Return the tokens of a record's prompt, shortened so that an answer has a place."""
        for _ in range(MOST_CUTS + len(record.history)):
            ids, _ = self._tokens([self.prompt(record)])[0]
            ids = [*self._start, *ids] or [self._first()]
            excess = len(ids) - (self.max_tokens - 1)
            if excess <= 0:
                return ids
            record = self._shortened(record, excess)
        raise self._too_long(record, len(ids))

    def chat_prompt(self, turns: Sequence[Turn]) -> list[int]:
        """Return the tokens of a talk that ends before the answer, with its turn opened."""
        *before, last = turns
        if last[0] == "user":
            return self.question(Record(last[1], "", "", history=tuple(before)))
        return self.question(Record("", "", "", history=tuple(turns)))

    def answer(self, ids: Sequence[int]) -> str:
        """Return the text of an answer as a model has written it, without what surrounds it."""
        lead = self.chat.lead if self.chat is not None else ""
        if not (lead or self.marker):
            return str(self.tokenizer.decode(ids, skip_special_tokens=True))
        text = str(self.tokenizer.decode(ids, skip_special_tokens=False)).removeprefix(lead)
        if self.marker:
            text = text.partition(self.marker)[0]
        for token in self.chat.special_tokens if self.chat is not None else ():
            text = text.replace(token, "")
        return text

    @property
    def stopping(self) -> dict[str, Any]:
        """Arguments of ``generate`` that stop it where an answer ends as a text."""
        stops = {"stop_strings": [self.marker], "tokenizer": self.tokenizer}
        return stops if self.marker else {}

    def _check_plain_turns(self, record: Record) -> None:
        for turn in record.history:
            if turn[0] not in ("system", "user", "assistant") or len(turn) == 3:
                what = "a message with tool calls" if len(turn) == 3 else f"a turn of {turn[0]!r}"
                raise RecordError(record.place, f"{what} needs a model with a chat template")
        if record.calls:
            raise RecordError(record.place, "tool calls need a model with a chat template")

    def _written(self, record: Record) -> Rendered:
        if self.chat is not None and record.turns:
            return self.chat.whole(record, self.turns)
        prompt = self.prompt(record)
        text = prompt + record.output
        return Rendered(text, ((len(prompt), len(text)),))

    def _example(
        self, record: Record, written: Rendered, tokens: tuple[list[int], list[tuple[int, int]]]
    ) -> Example:
        ids, places = self._parted(written, *tokens)
        start = self._start if record.turns else []
        ranges = [self._range(written.text, ids, places, *span) for span in written.learnt]
        head = [*start, *ids][: len(start) + ranges[0][0]] or [self._first()]
        shift = len(head) - ranges[0][0]
        ends = record.ends if not record.turns else self.chat is None or self._adds_end
        end = [self.end if record.turns else int(self.tokenizer.eos_token_id)] if ends else []
        learnt = [(first + shift, stop + shift) for first, stop in ranges]
        return Example(
            (*head, *ids[ranges[0][0] : ranges[-1][1]], *end),
            len(head),
            record.label,
            skipped=tuple((a[1], b[0]) for a, b in pairwise(learnt)),
        )

    def _parted(
        self, written: Rendered, ids: list[int], places: list[tuple[int, int]]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Part the line break that ends a prompt from white space that an answer begins with."""
        text, first = written.text, written.learnt[0][0]
        border = text[max(first - 1, 0) : first + 1]
        if self.chat is not None or border[:1] != "\n" or not border[1:].isspace():
            return ids, places
        (head, before), (tail, after) = self._tokens([text[:first], text[first:]])
        decode = self.tokenizer.decode
        # Some tokenizers write a blank before every text.
        if ids[: len(head)] == head or decode([*head, *tail]) != decode(ids):
            return ids, places
        return [*head, *tail], [*before, *((a + first, b + first) for a, b in after)]

    def _range(
        self, text: str, ids: list[int], places: list[tuple[int, int]], first: int, stop: int
    ) -> tuple[int, int]:
        """Return the tokens that hold characters of ``text[first:stop]``."""
        if places:
            start = next((i for i, (_, b) in enumerate(places) if b > first), len(ids))
            # A special token may hold the white space after it.
            start += start < len(ids) and places[start][0] < first and ids[start] in self._special
            # Of blanks some tokenizers tell but where they end.
            after = (i for i, (a, b) in enumerate(places) if a >= stop < b)
            return start, len(ids) if stop >= len(text) else next(after, len(ids))
        # Without places: as far as the tokens of the text before are the same.
        heads = [self._tokens([text[:n]])[0][0] if n < len(text) else ids for n in (first, stop)]
        start, end = (_common(ids, head) for head in heads)
        return start, end if end == len(heads[1]) else end + 1

    def _fitted(self, record: Record, text: Rendered, example: Example, room: int) -> Example:
        """Return an example of at most `max_tokens`."""
        if self.chat is not None and self._excess(example, room) > 0:
            # What a shorter talk is written as is seen in what is there; the template has the last
            # word, and where it writes another text it is asked after each cut.
            with suppress(RecordError):
                cut, guessed, fitted = self._cut(record, text, example, room, guess=True)
                if self.chat.text(cut) == guessed.text:
                    return fitted
        return self._cut(record, text, example, room, guess=False)[2]

    def _cut(
        self, record: Record, text: Rendered, example: Example, room: int, *, guess: bool
    ) -> tuple[Record, Rendered, Example]:
        """Shorten a record until it fits."""
        whole = record
        for _ in range(MOST_CUTS + len(record.history)):
            excess = self._excess(example, room)
            if excess <= 0:
                ids = example.ids[: self.max_tokens]
                cut = record is not whole or len(ids) < len(example.ids)
                return record, text, replace(example, ids=ids, cut=cut)
            shorter = self._shortened(record, excess)
            found = spliced(text, record.turns, shorter.turns) if guess else None
            record, text = shorter, found or self._written(shorter)
            example = self._example(record, text, self._tokens([text.text])[0])
        raise self._too_long(record, len(example.ids))

    def _excess(self, example: Example, room: int) -> int:
        """Return how many tokens too long a prompt is."""
        before = example.learnt[-1][0]
        answer = max(min(len(example.ids) - before, self.max_tokens // 2), room)
        return before - (self.max_tokens - answer)

    def _shortened(self, record: Record, excess: int) -> Record:
        """Return a record with a shorter prompt: oldest turns gone, or the front of a text."""
        history = list(record.history)
        roles = [turn[0] for turn in history]
        first = next((i for i, r in enumerate(roles) if r not in ("system", "developer")), None)
        if record.instruction or record.input:
            if first is not None:
                return self._without_turns(record, first, len(history), excess)
            if record.input:
                return replace(record, input=self._without_front(record.input, excess))
            # Something must be asked, or the talk would lose its turn.
            if rest := self._without_front(record.instruction, excess):
                return replace(record, instruction=rest)
        elif first is not None:
            # What is answered: the last turn of the user, and what others said since.
            asked = max((i for i, r in enumerate(roles) if r == "user"), default=len(roles) - 1)
            if first < asked:
                return self._without_turns(record, first, asked, excess)
            for place, turn in enumerate(history[first:], first):
                most = len(self._tokens([turn[1]])[0][0]) - 1
                rest = self._without_front(turn[1], min(excess, most)) if most > 0 else ""
                if rest:
                    history[place] = (turn[0], rest, *turn[2:])
                    return replace(record, history=tuple(history))
        raise self._too_long(record, None)

    def _without_turns(self, record: Record, first: int, end: int, excess: int) -> Record:
        """Leave turns out from the `first` to the next of the user, more of them if too few."""
        history = record.history
        starts = [i for i in range(first + 1, end) if history[i][0] == "user"] + [end]
        spared, last = 0, first
        while last < end and (last == first or spared < excess):
            following = next(i for i in starts if i > last)
            texts = ["".join(turn[1:]) for turn in history[last:following]]
            spared += sum(len(ids) + TURN_TOKENS for ids, _ in self._tokens(texts))
            last = following
        return replace(record, history=history[:first] + history[last:])

    def _without_front(self, text: str, tokens: int) -> str:
        ids, places = self._tokens([text])[0]
        if tokens >= len(ids):
            return ""
        shorter = text[places[tokens][0] :] if places else str(self.tokenizer.decode(ids[tokens:]))
        return shorter if len(shorter) < len(text) else text[1:]

    def _too_long(self, record: Record, length: int | None) -> RecordError:
        takes = "" if length is None else f" ({length} tokens)"
        return RecordError(
            record.place,
            f"its prompt{takes} does not fit into data.max_tokens = {self.max_tokens}, however "
            "short its question is cut",
        )

    def _first(self) -> int:
        start = self.tokenizer.bos_token_id
        return int(self.tokenizer.eos_token_id if start is None else start)

    def _tokens(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Return tokens of texts and, of a tokenizer that tells, their places in the text."""
        fast = bool(getattr(self.tokenizer, "is_fast", False))
        told = {"return_offsets_mapping": True} if fast else {}
        found = self.tokenizer(list(texts), add_special_tokens=False, **told)
        places = found["offset_mapping"] if fast else [[] for _ in texts]
        return list(zip(found["input_ids"], places, strict=True))


def _special_ids(tokenizer: Any) -> set[int]:
    added = tokenizer.added_tokens_decoder.items()
    return {i for i, token in added if token.special} | set(tokenizer.all_special_ids)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences share at their head."""
    pairs: Iterator[tuple[int, int]] = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
