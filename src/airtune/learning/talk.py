"""A talk with a tuned model: prompts as in training, answers token by token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from airtune.learning.device import device_of
from airtune.learning.text import Encoder
from airtune.learning.tuned import Tuned
from airtune.scenario import Scenario

Show = Callable[[str], None]
"""Called with each new piece of an answer."""
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
        self._model = tuned.model.to(device_of(scenario.model).kind)
        limit = getattr(tuned.model.config.get_text_config(), "max_position_embeddings", None)
        limit = limit or NO_LIMIT
        self._longest = min(longest, limit // 2)
        room = scenario.data.model_copy(update={"max_tokens": max(limit - self._longest, 2)})
        self._encoder = Encoder.of(room, tuned.tokenizer)
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

        Raises
        ------
        InputError
            The chat template cannot write the talk; the turn is not part of it then.
        """
        turns = [*self.turns, ("user", question)]
        prompt = self._encoder.chat_prompt(turns)
        self.turns = turns
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
        tokenizer = self._encoder.tokenizer
        ends = sorted({int(self._encoder.end), int(tokenizer.eos_token_id)})
        with torch.inference_mode():
            self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=self._longest,
                eos_token_id=ends,
                pad_token_id=self._encoder.end,
                streamer=answer,
                repetition_penalty=1.0,
                **self._encoder.stopping,
                **how,
            )


class _Answer:
    """Turns tokens as they come into text, in the form of a streamer of transformers.

    A piece is shown once no later token can change it: not the beginning of a character of several
    bytes, nor what may become the end of the turn or what the template opens an answer with.
    """

    def __init__(self, encoder: Encoder, show: Show) -> None:
        self._encoder, self._show = encoder, show
        self._lead = encoder.chat.lead if encoder.chat is not None else ""
        self._ids: list[int] = []
        self._prompt_seen = False
        self.text = ""

    def put(self, value: torch.Tensor) -> None:
        """Take the next tokens; the first call brings the prompt."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self._ids += value.flatten().tolist()
        if not self._may_be_lead():
            self._advance(self._settled())

    def end(self) -> None:
        """Show what is left."""
        self._advance(self._encoder.answer(self._ids))

    def _may_be_lead(self) -> bool:
        if not self._lead:
            return False
        raw = str(self._encoder.tokenizer.decode(self._ids, skip_special_tokens=False))
        return len(raw) < len(self._lead) and self._lead.startswith(raw.rstrip(UNFINISHED))

    def _settled(self) -> str:
        text = self._encoder.answer(self._ids).rstrip(UNFINISHED)
        marker = self._encoder.marker
        for length in range(len(marker) - 1, 0, -1):
            if text.endswith(marker[:length]):
                return text[:-length]
        return text

    def _advance(self, text: str) -> None:
        if len(text) > len(self.text) and text.startswith(self.text):
            self._show(text[len(self.text) :])
            self.text = text
