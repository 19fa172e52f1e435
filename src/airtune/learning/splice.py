"""What a template writes of a talk that was shortened, seen in what it wrote of the whole."""

from __future__ import annotations

from collections.abc import Sequence

from airtune.learning.chat_template import Rendered
from airtune.learning.data import Turn


def spliced(text: Rendered, turns: Sequence[Turn], shorter: Sequence[Turn]) -> Rendered | None:
    """Return the text of a talk that has lost turns in a row or the front of a turn.

    Parameters
    ----------
    text : Rendered
        The whole talk, with its answer.
    turns, shorter : sequence of Turn
        Before the answer: those of `text`, and those that are left.

    Returns
    -------
    Rendered or None
        As a template writes it that writes each turn by itself; None where the texts of the turns
        are not found or more has changed.

    Examples
    --------
    >>> turns = [("user", "Hi"), ("assistant", "Yo"), ("user", "Bye")]
    >>> whole = Rendered("<u>Hi</u><a>Yo</a><u>Bye</u><a>Ciao</a>", ((31, 39),))
    >>> spliced(whole, turns, turns[2:])
    Rendered(text='<u>Bye</u><a>Ciao</a>', learnt=((13, 21),))
    >>> spliced(whole, turns, [*turns[:2], ("user", "e")]).text
    '<u>Hi</u><a>Yo</a><u>e</u><a>Ciao</a>'
    """
    gone = len(turns) - len(shorter)
    same = next(
        (n for n, (a, b) in enumerate(zip(turns, shorter, strict=False)) if a != b), len(shorter)
    )
    if same >= len(shorter) or gone < 0:
        return None
    if gone:
        alike = tuple(turns[same + gone :]) == tuple(shorter[same:])
        if not alike or turns[same][0] != turns[same + gone][0]:
            return None
    elif turns[same][2:] != shorter[same][2:] or turns[same + 1 :] != shorter[same + 1 :]:
        return None
    places = _places(text.text[: text.learnt[-1][0]], turns, same)
    if places is None:
        return None
    start, stop = places[0]
    if gone:
        return _without(text, start, places[gone][0], "")
    kept = shorter[same][1]
    return _without(
        text, start, stop, kept if stop - start == len(turns[same][1]) else kept.strip()
    )


def _places(prompt: str, turns: Sequence[Turn], first: int) -> list[tuple[int, int]] | None:
    """Return where the texts of the turns from the `first` are, looking from the end."""
    places: list[tuple[int, int]] = []
    end = len(prompt)
    for turn in reversed(turns[first:]):
        said = turn[1] if turn[1] and prompt.rfind(turn[1], 0, end) >= 0 else turn[1].strip()
        start = prompt.rfind(said, 0, end) if said else -1
        if start < 0:
            return None
        places.append((start, start + len(said)))
        end = start
    return places[::-1]


def _without(text: Rendered, start: int, stop: int, kept: str) -> Rendered | None:
    """Return a text with `kept` for what is between two places, and what is learnt of it."""
    shift = start + len(kept) - stop
    learnt = [span for span in text.learnt if span[1] <= start]
    learnt += [(a + shift, b + shift) for a, b in text.learnt if a >= stop]
    crossed = [
        span for span in text.learnt if span[0] < start < span[1] or span[0] < stop < span[1]
    ]
    if crossed or not learnt:
        return None
    return Rendered(text.text[:start] + kept + text.text[stop:], tuple(learnt))
