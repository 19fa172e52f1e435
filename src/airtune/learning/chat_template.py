"""Talks as a tokenizer's own chat template writes them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from airtune.errors import InputError
from airtune.learning.data import Record, RecordError, Turn

MARK = "=text="
"""Stands for a text, to see where a template writes it."""

KEPT = 512
"""Forms of talks (roles and calls) of which is kept how the template writes them."""

KEPT_PROMPTS = 64
"""Prompts that are kept."""

A_TOOL = json.dumps(
    [
        {
            "type": "function",
            "function": {
                "name": "tool",
                "description": "A tool.",
                "parameters": {"type": "object", "properties": {}, "required": []},
            },
        }
    ]
)
"""Stands for the tools of a talk, to see how a template writes answers beside tools."""

THOUGHTS = ("reasoning_content", "thinking", "reasoning")
"""What a message may hold that its speaker thought."""

FAILURES = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError)
"""What a template can raise besides errors of its own kind."""

ALLOWED_BESIDES = "allowed besides are alpaca, plain or a text with {instruction}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A talk as text.

    Attributes
    ----------
    text : str
        As the template writes it, with what may follow the end of the last answer.
    learnt : tuple of (start, stop)
        Characters of each learnt answer, with its end.
    """

    text: str
    learnt: tuple[tuple[int, int], ...]


class ChatTemplate:
    """The chat template of a tokenizer.

    Parameters
    ----------
    tokenizer : transformers tokenizer
        Has a chat template.
    date : datetime.date, optional
        What a template that asks the clock is told; today by default.
    options : mapping, optional
        Variables of the template, such as ``enable_thinking``.
    """

    def __init__(
        self,
        tokenizer: Any,
        date: datetime.date | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.date = date or datetime.date.today()
        self.options = dict(options or {})
        self._closing = lru_cache(KEPT)(self._closing_of)
        self._wrote = lru_cache(KEPT)(self._turns_written)
        self._as_before = lru_cache(KEPT)(self._writes_as_before)
        # The two answers of a pair, and a record that is cut and asked, have one prompt.
        self._prompt = lru_cache(KEPT_PROMPTS)(self._prompt_of)

    def prompt(self, turns: Sequence[Turn], tools: str = "", place: str = "") -> str:
        """Return the talk with the turn of the answer opened.

        Raises
        ------
        RecordError
            The template refuses the talk, or does not write one of its turns.
        """
        try:
            return self._prompt(tuple(turns), tools)
        except RecordError as error:
            raise RecordError(place, error.left_out.why) from None

    def text(self, record: Record) -> str:
        """Return a talk with its answer, without the checks of :meth:`whole`.

        Raises
        ------
        RecordError
            The template refuses the talk.
        """
        return self._render(_talk(record), record.tools, record.place, generation=False)

    def _prompt_of(self, turns: tuple[Turn, ...], tools: str) -> str:
        place = ""
        text = self._render(turns, tools, place, generation=True)
        shape = tuple((t[0], bool(t[1].strip()), *t[2:]) for t in turns)
        written = self._wrote(shape, bool(tools))
        for number, turn in enumerate(turns):
            # What an answer thought may be left out of later turns: the template knows why.
            if turn[0] != "assistant" and turn[1].strip() and number not in written:
                marked = [*turns[:number], _with_content(turn, MARK), *turns[number + 1 :]]
                if MARK not in self._render(marked, tools, place, generation=True):
                    raise RecordError(
                        place, f"the model's chat template does not write a turn of {turn[0]!r}"
                    )
        _check_calls(turns, text, place)
        return text

    def whole(self, record: Record, turns: str = "last") -> Rendered:
        """Return a talk with its answer.

        Parameters
        ----------
        record : Record
        turns : {"last", "all"}
            Whether its last answer is learnt or the turns of the assistant before it too.

        Raises
        ------
        RecordError
            The template refuses the talk, leaves a turn out, or writes the prompt in another way
            once there is an answer.
        """
        talk = _talk(record)
        text, span = self._learnt(talk, record)
        if turns == "last":
            return Rendered(text, (span,))
        spans: list[tuple[int, int]] = []
        for number, turn in enumerate(talk[:-1]):
            if turn[0] != "assistant":
                continue
            known = self._learnt_before(talk, number, text, record)
            if known is not None:
                spans.append(known)
                continue
            part, own = self._learnt(talk[: number + 1], record)
            if not text.startswith(part[: own[1]]):
                raise RecordError(
                    record.place,
                    f"the model's chat template writes answer {len(spans) + 1} in another way once "
                    "the talk has gone on; data.turns = last learns the last answer only",
                )
            spans.append(own)
        return Rendered(text, (*spans, span))

    @property
    def lead(self) -> str:
        """What the template writes between a prompt and its answer, such as an empty thought."""
        talk: tuple[Turn, ...] = (("user", "?"),)
        prompt = self._render(talk, "", "", generation=True)
        whole = self._render((*talk, ("assistant", MARK)), "", "", generation=False)
        before = whole.partition(MARK)[0]
        return before[len(prompt) :] if before.startswith(prompt) else ""

    @property
    def closing(self) -> str:
        """What ends an answer; empty where the template writes nothing after one."""
        return self._closing((("user", ""),), False)[0]

    def _learnt(self, talk: Sequence[Turn], record: Record) -> tuple[str, tuple[int, int]]:
        """Return a talk that ends on an answer as text, and the characters of that answer."""
        prompt = self.prompt(talk[:-1], record.tools, record.place)
        whole = self._render(talk, record.tools, record.place, generation=False)
        if not whole.startswith(prompt):
            raise RecordError(
                record.place,
                "the model's chat template opens the answer in another way than it writes it: "
                + _difference(prompt, whole),
            )
        kept, closing = self._closing(_shape(talk[:-1]), bool(record.tools))
        if whole.endswith(closing):
            stop = len(whole) - len(closing) + len(kept)
        else:
            stop = len(whole.rstrip())
        _check_answer(talk[-1], whole[len(prompt) : stop], record.place)
        return whole, (len(prompt), stop)

    def _learnt_before(
        self, talk: Sequence[Turn], number: int, text: str, record: Record
    ) -> tuple[int, int] | None:
        """Return the characters of an earlier answer if they are plain to see, else None."""
        turn, tools = talk[number], bool(record.tools)
        if len(turn) > 2 or not turn[1].strip() or not self._as_before(_shape(talk), number, tools):
            return None
        prompt = self.prompt(talk[:number], record.tools, record.place)
        end = turn[1] + self._closing(_shape(talk[:number]), tools)[0]
        seen = text.startswith(prompt) and text.startswith(end, len(prompt))
        return (len(prompt), len(prompt) + len(end)) if seen else None

    def _writes_as_before(self, talk: tuple[Turn, ...], number: int, tools: bool) -> bool:
        """Whether an answer of a talk of this form is written as when it was the last."""
        filled = [(t[0], t[1] or "?", *t[2:]) for t in talk]
        filled[number] = ("assistant", MARK)
        described = A_TOOL if tools else ""
        try:
            part, whole = (
                self._render(turns, described, "", generation=False)
                for turns in (filled[: number + 1], filled)
            )
        except RecordError:
            return False
        end = MARK + self._closing(_shape(talk[:number]), tools)[0]
        return end in part and whole.startswith(part[: part.rindex(end) + len(end)])

    def _turns_written(self, shape: tuple[tuple[Any, ...], ...], tools: bool) -> frozenset[int]:
        """Return which turns of a talk the template writes, by what stands for their text."""
        marks = [MARK.replace("=", f"={number}=") for number in range(len(shape))]
        turns = [
            (role, mark if full else "", *more)
            for (role, full, *more), mark in zip(shape, marks, strict=True)
        ]
        try:
            text = self._render(turns, A_TOOL if tools else "", "", generation=True)
        except RecordError:  # it depends on what is said
            return frozenset()
        return frozenset(number for number, mark in enumerate(marks) if mark in text)

    def _closing_of(self, before: tuple[Turn, ...], tools: bool) -> tuple[str, str]:
        """Return what ends an answer, and all that the template writes after one.

        The end goes up to and with the first special token, else up to white space at the end.
        """
        filled = [(t[0], t[1] or "?", *t[2:]) for t in before]
        marked = (*filled, ("assistant", MARK))
        try:
            whole = self._render(marked, A_TOOL if tools else "", "", generation=False)
        except RecordError:  # tools of another form
            whole = self._render(marked, "", "", generation=False)
        closing = whole.rpartition(MARK)[2] if MARK in whole else ""
        ends = [
            closing.index(token) + len(token) for token in self.special_tokens if token in closing
        ]
        return (closing[: min(ends)] if ends else closing.rstrip()), closing

    @property
    def special_tokens(self) -> list[str]:
        """Special tokens as they are written."""
        added = self.tokenizer.added_tokens_decoder.values()
        own = {str(token) for token in added if token.special} | set(
            self.tokenizer.all_special_tokens
        )
        return sorted(token for token in own if token.strip())

    def _render(self, turns: Sequence[Turn], tools: str, place: str, *, generation: bool) -> str:
        from jinja2 import TemplateError, TemplateSyntaxError

        messages = [_message(turn) for turn in turns]
        callable_tools = json.loads(tools) if tools else None
        try:
            with _clock(self.tokenizer, callable_tools, self.date):
                return str(
                    self.tokenizer.apply_chat_template(
                        messages,
                        tools=callable_tools,
                        tokenize=False,
                        add_generation_prompt=generation,
                        **self.options,
                    )
                )
        except TemplateSyntaxError as error:
            raise InputError(
                f"data.template: the model's chat template cannot be read ({error}); "
                + ALLOWED_BESIDES
            ) from None
        except (TemplateError, *FAILURES) as error:
            first = str(error).split("\n")[0][:200]
            raise RecordError(
                place,
                f"data.template: the model's chat template refuses it ({first}); {ALLOWED_BESIDES}",
            ) from None


def _talk(record: Record) -> tuple[Turn, ...]:
    """Return the turns of a record with its answer."""
    more = (record.calls,) if record.calls else ()
    return (*record.turns, ("assistant", record.output, *more))


def _shape(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return turns without their texts."""
    return tuple((t[0], "", *t[2:]) for t in turns)


def _check_calls(turns: Sequence[Turn], text: str, place: str) -> None:
    """Refuse a talk with tool calls that are not in its text."""
    for turn in turns:
        for call in _message(turn).get("tool_calls", []):
            function = call.get("function", call) if isinstance(call, dict) else {}
            name = function.get("name") if isinstance(function, dict) else None
            if not isinstance(name, str) or name not in text:
                raise RecordError(
                    place, f"the model's chat template does not write its tool call ({name})"
                )


def _check_answer(turn: Turn, text: str, place: str) -> None:
    """Refuse an answer that is not as it is given in what is learnt, but for white space."""
    squeezed = "".join(text.split())
    if not squeezed or "".join(turn[1].split()) not in squeezed:
        what = "its answer as it is given" if squeezed else "its answer"
        raise RecordError(place, f"the model's chat template does not write {what}")
    message = _message(turn)
    for key in THOUGHTS:
        thought = message.get(key)
        if isinstance(thought, str) and "".join(thought.split()) not in squeezed:
            raise RecordError(place, f"the model's chat template does not write its {key!r}")
    _check_calls([turn], text, place)


def _with_content(turn: Turn, content: str) -> Turn:
    return (turn[0], content, turn[2]) if len(turn) == 3 else (turn[0], content)


def _message(turn: Turn) -> dict[str, Any]:
    more = json.loads(turn[2]) if len(turn) == 3 else {}
    return {"role": turn[0], "content": turn[1], **more}


def _difference(prompt: str, whole: str) -> str:
    """Return where two texts part, in words."""
    same = 0
    while same < min(len(prompt), len(whole)) and prompt[same] == whole[same]:
        same += 1
    before, after = prompt[same : same + 30], whole[same : same + 30]
    return f"{before!r} with the answer to come, {after!r} with the answer"


@contextmanager
def _clock(tokenizer: Any, tools: list[Any] | None, date: datetime.date) -> Iterator[None]:
    """Tell a template that asks for the time the noon of a day.

    Variables that are handed to ``apply_chat_template`` are made plain data, so the function is
    set where the compiled template looks names up.
    """
    noon = datetime.datetime.combine(date, datetime.time(12))
    template = tokenizer.get_chat_template(tools=tools)
    names = _compiled(template).globals
    before = names.get("strftime_now")
    names["strftime_now"] = noon.strftime
    try:
        yield
    finally:
        names["strftime_now"] = before


def _compiled(template: str) -> Any:
    """Return a template as transformers keeps it compiled.

    Raises
    ------
    InputError
        This version of transformers keeps it elsewhere.
    """
    import transformers
    from transformers.utils import chat_template_utils

    compiled = getattr(chat_template_utils, "_compile_jinja_template", None)
    if compiled is None:
        raise InputError(
            f"transformers {transformers.__version__} compiles chat templates in a way that is not "
            "known here; install a version that airtune was tested with (transformers 5.23), or "
            "choose data.template = alpaca, plain or a text with {instruction}"
        )
    return compiled(template)
