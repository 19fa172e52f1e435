"""How figures of the study are worded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from airtune.report.style import scheme_style
from airtune.report.values import MISSING, decimals, significant
from airtune.study.statistics import quantiles
from studies.markdown import listed
from studies.tables import Counted, Saved

BETTER_WORSE = {
    "time": ("faster", "slower"),
    "energy": ("less energy", "more energy"),
    "perplexity": ("lower perplexity", "higher perplexity"),
}


def labels(names: Iterable[str]) -> str:
    """Return the schemes' labels as a list, in which a label has no comma of its own."""
    return listed([scheme_style(name).label.replace(", ", " ") for name in names])


def numbers(values: Sequence[int]) -> str:
    """Return seeds as words: seed 3; seeds 0, 1 and 2."""
    return f"seed{'s' * (len(values) != 1)} {listed([str(x) for x in values])}"


def spread(
    values: Sequence[float | None], write: Callable[[float], str] = lambda x: significant(x, 3)
) -> str:
    """Write median and 10-90 % range of what is better small; None is never."""
    middle, low, high = (quantiles(values)[name] for name in ("median", "p10", "p90"))
    known = [x for x in values if x is not None]
    if middle is None:
        return f"never (least: {write(min(known))})" if known else "never"
    if low == middle == high:
        return write(middle)
    ends = ["never" if x is None else write(x) for x in (low, high)]
    return f"{write(middle)} ({' to '.join(ends)})"


def percent(saving: Saved | None) -> str:
    """Write a saving as a signed percentage; a lower bound says so."""
    if saving is None:
        return MISSING
    middle = saving.quantiles["median"]
    if middle is None:
        return "movable never there"
    if saving.missed == saving.seeds and middle <= 0:
        return "baseline never there"
    text = f"{decimals(middle, 1)} %{_range(saving)}"
    if not saving.missed:
        return text
    there = saving.seeds - saving.missed
    reached = f"reached in {there} of {saving.seeds} seeds" if there else "baseline never there"
    return f"at least {text}, {reached}"


def _range(saving: Saved) -> str:
    low, high = saving.quantiles["p10"], saving.quantiles["p90"]
    if low == high:
        return ""
    ends = ["never" if x is None else decimals(x, 1) for x in (low, high)]
    return f" ({' to '.join(ends)})"


def words(saving: Saved) -> str:
    """Write a saving in words: 18.5 % slower."""
    middle = saving.quantiles["median"]
    if middle is None:
        return "movable did not reach the target in half of the seeds"
    better, worse = BETTER_WORSE[saving.quantity]
    size = decimals(abs(middle), 1)
    if float(size) == 0:
        return "at least no difference" if saving.missed else "no difference"
    bound = ("at least " if middle > 0 else "at most ") if saving.missed else ""
    return f"{bound}{size} % {better if middle > 0 else worse}"


def in_full(saving: Saved) -> str:
    """Write a saving in words with its range, and in how many seeds movable takes less."""
    facts = []
    if ends := _range(saving):
        facts.append(f"saved {ends[2:-1]} %")
    single = saving.seeds == 1
    facts.append("1 seed" if single else f"less in {saving.better} of {of_seeds(saving)}")
    if saving.missed:
        there = saving.seeds - saving.missed
        facts.append(f"baseline there in {there}" if there else "baseline never there")
    return f"{words(saving)} ({'; '.join(facts)})"


def of_seeds(saving: Saved) -> str:
    """Return `5 seeds` or `1 seed`."""
    return f"{saving.seeds} seed{'s' * (saving.seeds != 1)}"


def sign_test(saving: Saved) -> str:
    """Write the sign test where there is one to speak of."""
    if saving.seeds < 2 or saving.sign_test is None:
        return ""
    return f", sign test p = {significant(saving.sign_test, 2)}"


def verdict(saving: Saved, aim: float) -> str:
    """Tell whether the median reaches an aim [%]."""
    middle = saving.quantiles["median"]
    single = sum(x is not None and x >= aim for x in saving.percents)
    answer = "yes" if middle is not None and middle >= aim else "no"
    if 0 < single < saving.seeds:
        answer += f" (in {single} of {of_seeds(saving)})"
    return f"{answer}; a lower bound" if saving.missed and middle is not None else answer


def _rounded(text: str) -> str:
    """Return a message with its long numbers cut to three digits."""
    return re.sub(r"\d+\.\d{3,}", lambda number: significant(float(number[0])), text)


def which_seeds(counted: Counted) -> str:
    """Say which seeds a table counts, and why others are left out."""
    sentences = []
    everywhere = [s for s in counted.seeds if not any(s in x for x in counted.cells.values())]
    shown = [s for s in counted.seeds if s not in everywhere]
    if not counted.complete:
        sentences.append(f"No seed is complete yet; shown is what there is of {numbers(shown)}.")
    elif counted.unfinished:
        rest = f"; not finished yet: {numbers(counted.unfinished)}"
        sentences.append(f"Of {numbers(shown)}{rest}.")
    else:
        sentences.append(f"Of {numbers(shown)}.")
    reasons: dict[str, dict[str, list[int]]] = {}
    for scheme, seeds in counted.infeasible.items():
        for seed, reason in seeds.items():
            if seed in counted.seeds:
                reasons.setdefault(reason, {}).setdefault(scheme, []).append(seed)
    for reason, schemes in reasons.items():
        seeds = sorted({seed for each in schemes.values() for seed in each})
        whole = set(seeds) <= set(everywhere)
        who = numbers(seeds) if whole else f"{labels(schemes)} in {numbers(seeds)}"
        sentences.append(f"Left out: {who}, where no plan keeps the budget ({_rounded(reason)}).")
        if whole:
            sentences.append("The channel is bad there: the figures are of the better channels.")
    return " ".join(sentences) + "\n"
