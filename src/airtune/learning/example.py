"""A record as tokens."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Example:
    """A record as tokens: the prompt, then the answer with its end.

    Attributes
    ----------
    ids : tuple of int
        Tokens of prompt and response.
    prompt : int
        Number of prompt tokens, at least 1; ``ids[prompt:]`` is the response.
    label : str
        Domain of the record.
    skipped : tuple of (start, stop)
        Tokens of the response that are given, not learnt: turns of others between the learnt ones.
    cut : bool
        Whether the record is longer than `data.max_tokens`, and this is a part of it.
    """

    ids: tuple[int, ...]
    prompt: int
    label: str
    skipped: tuple[tuple[int, int], ...] = field(default=(), kw_only=True)
    cut: bool = field(default=False, kw_only=True)

    @property
    def learnt(self) -> tuple[tuple[int, int], ...]:
        """Ranges of the tokens that are learnt.

        Examples
        --------
        >>> Example((1, 2, 3, 4, 5, 6), 1, "", skipped=((3, 5),)).learnt
        ((1, 3), (5, 6))
        """
        starts = (self.prompt, *(stop for _, stop in self.skipped))
        stops = (*(start for start, _ in self.skipped), len(self.ids))
        return tuple(zip(starts, stops, strict=True))

    @property
    def learnt_tokens(self) -> int:
        """Number of tokens that are learnt."""
        return len(self.ids) - self.prompt - sum(stop - start for start, stop in self.skipped)
