"""A record as tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


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


def digest_of(groups: Sequence[Sequence[Example]]) -> str:
    """Return a digest of all that is learnt from groups of examples, in their order.

    Examples
    --------
    >>> digest_of([[Example((1, 2), 1, "")]]) == digest_of([[Example((1, 2), 1, "")]])
    True
    >>> digest_of([[Example((1, 2), 1, "")]]) == digest_of([[Example((1, 3), 1, "")]])
    False
    """
    sha = hashlib.sha256()
    for group in groups:
        sha.update(f"group of {len(group)};".encode())
        for example in group:
            _add(sha, example)
    return sha.hexdigest()


def _add(sha: Any, example: Example) -> None:
    skipped = [place for places in example.skipped for place in places]
    head = f"{example.prompt} {len(example.ids)} {skipped} {example.label!r};"
    sha.update(head.encode("utf-8", "backslashreplace") + np.array(example.ids, np.int64).tobytes())
    worse = getattr(example, "worse", None)
    if worse is not None:
        _add(sha, worse)
