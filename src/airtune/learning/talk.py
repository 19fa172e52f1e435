"""A talk with a tuned model: prompts as in training, answers token by token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from airtune.learning.data import Record
from airtune.learning.text import Encoder
from airtune.learning.tuned import Tuned
from airtune.scenario import Scenario

Show = Callable[[str], None]
"""Called with each new piece of an answer."""
Turns = Sequence[tuple[str, str]]
UNFINISHED = "\N{REPLACEMENT CHARACTER}"
NO_LIMIT = 4096
"""Tokens of a prompt where the model sets no limit."""


class Talk:
    """The turns of a talk so far, and a model that goes on with it.

    Parameters
    ----------
    tuned : Tuned
        Model and tokenizer.
    scenario : Scenario
        `data.template` is the template of the prompts.
    longest : int
        Most tokens of an answer.
    temperature : float
        Of the sampling; 0 takes the likeliest token each time.
    seed : int
        Of the sampling.

    Attributes
    ----------
    turns : list of (role, content)
        What was said; the front is forgotten where the model's context ends.
    """

    def __init__(
        self,
        tuned: Tuned,
        scenario: Scenario,
        longest: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.turns: list[tuple[str, str]] = []
        self._model = tuned.model
        limit = getattr(tuned.model.config.get_text_config(), "max_position_embeddings", None)
        limit = limit or NO_LIMIT
        self._longest = min(longest, limit // 2)
        most = max(limit - self._longest, 2)
        self._encoder = Encoder(tuned.tokenizer, most, scenario.data.template)
        self._temperature = temperature
        torch.manual_seed(seed)

    def ask(self, question: str, show: Show, *, untuned: bool = False) -> str:
        """Return the answer to the next turn of the user.

        An interrupt leaves the answer in the talk as far as it has come.

        Parameters
        ----------
        question : str
            Text of the turn.
        show : callable
            Called with each new piece of the answer.
        untuned : bool
            Let the base model answer, without its adapter.
        """
        self.turns.append(("user", question))
        prompt = prompt_ids(self._encoder, self.turns)
        answer = _Answer(self._encoder, show)
        try:
            if untuned:
                with self._model.disable_adapter():
                    self._generate(prompt, answer)
            else:
                self._generate(prompt, answer)
        finally:
            self.turns.append(("assistant", answer.text))
        return answer.text

    def _generate(self, prompt: list[int], answer: _Answer) -> None:
        ids = torch.tensor([prompt], device=self._model.device)
        sampled = self._temperature > 0
        how: dict[str, Any] = {"do_sample": sampled}
        if sampled:
            how |= {"temperature": self._temperature, "top_k": 0, "top_p": 1.0}
        ends = [stop[0] for stop in stop_ids(self._encoder) if len(stop) == 1]
        with torch.inference_mode():
            self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=self._longest,
                eos_token_id=ends,
                pad_token_id=self._encoder.tokenizer.pad_token_id or ends[0],
                streamer=answer,
                stopping_criteria=[answer.ended],
                repetition_penalty=1.0,
                **how,
            )


class _Answer:
    """Turns tokens as they come into text, in the form of a streamer of transformers.

    A piece is shown once no later token can change it: not the beginning of a character of several
    bytes, nor what may become the end of the turn.
    """

    def __init__(self, encoder: Encoder, show: Show) -> None:
        self._encoder, self._show = encoder, show
        self._stops = stop_ids(encoder)
        self._ids: list[int] = []
        self._prompt_seen = False
        self.text = ""

    def put(self, value: torch.Tensor) -> None:
        """Take the next tokens; the first call brings the prompt."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self._ids += value.flatten().tolist()
        self._advance(self._settled())

    def end(self) -> None:
        """Show what is left."""
        self._advance(self._decode(self._cut(self._ids)))

    def ended(self, ids: torch.Tensor, scores: Any = None, **options: Any) -> torch.Tensor:
        """Return whether the sequence ends with the end of a turn, a criterion of transformers."""
        last = ids[0].tolist()
        done = any(len(stop) > 1 and last[-len(stop) :] == stop for stop in self._stops)
        return torch.full((ids.shape[0],), done, dtype=torch.bool, device=ids.device)

    def _settled(self) -> str:
        ids = self._cut(self._ids)
        if len(ids) == len(self._ids):
            ids = ids[: len(ids) - self._beginning_of_stop(ids)]
        return self._decode(ids).rstrip(UNFINISHED)

    def _beginning_of_stop(self, ids: list[int]) -> int:
        """Return how many of the last tokens may be the beginning of the end of the turn."""
        longest = max(map(len, self._stops), default=1) - 1
        for count in range(min(longest, len(ids)), 0, -1):
            if any(stop[:count] == ids[-count:] for stop in self._stops):
                return count
        return 0

    def _cut(self, ids: list[int]) -> list[int]:
        for stop in self._stops:
            if ids[-len(stop) :] == stop:
                return ids[: -len(stop)]
        return ids

    def _decode(self, ids: list[int]) -> str:
        return str(self._encoder.tokenizer.decode(ids, skip_special_tokens=True))

    def _advance(self, text: str) -> None:
        if len(text) > len(self.text) and text.startswith(self.text):
            self._show(text[len(self.text) :])
            self.text = text


def prompt_ids(encoder: Encoder, turns: Turns) -> list[int]:
    """Return the tokens of the prompt of a talk that ends with the user's turn."""
    *before, (_, question) = turns
    return encoder.question(Record(question, "", "", history=tuple(before)))


def stop_ids(encoder: Encoder) -> list[list[int]]:
    """Return what ends the model's turn: the marker of the template, and the end token."""
    ends = {int(encoder.end), int(encoder.tokenizer.eos_token_id)}
    return [[end] for end in sorted(ends)]
