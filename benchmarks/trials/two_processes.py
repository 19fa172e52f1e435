"""Two processes on one folder: one works, the other is refused, nothing of the first is lost.

Each pair is tried until so many tries were refused by the lock.  A command that begins may also be
told that there is a run, as it would be when the first were over: such a try is kept and counted
apart.  A `resume` can be refused by the lock alone, for it waits until the run folder is there.
"""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from trials import tiny
from trials.kills import Whole
from trials.processes import Ended, load_libraries
from trials.results import Results, Try

LOCKED_TRIES = 10
"""Of each pair, that were refused by the lock."""
POLL_S = 0.002
OVER = "is finished, nothing is left to run"
LOCKED, TAKEN = "another process is writing this run", "must be a new or an empty folder"
PAIRS = (
    *(("compare", "compare"), ("sweep", "sweep")),
    *(("run", "resume"), ("compare", "resume"), ("sweep", "resume")),
)


def run(results: Results, scratch: Path, reduced: bool) -> None:
    """Make the tries that are missing."""
    scratch.mkdir(parents=True)
    load_libraries()
    pairs = (("run", "resume"),) if reduced else PAIRS
    whole = {first: Whole(first, scratch) for first in dict.fromkeys(pair[0] for pair in pairs)}
    wanted, number = 3 if reduced else LOCKED_TRIES, 0
    while missing := [pair for pair in pairs if _locked(results, _of(*pair)) < wanted]:
        for first, second in missing:
            chance = random.Random(f"{_of(first, second)} {number}")
            results.attempt(
                f"{first}-{second}-{number:03d}",
                _of(first, second),
                lambda first=first, second=second, chance=chance: _attempt(
                    whole[first], second, chance
                ),
            )
        number += 1


def _of(first: str, second: str) -> str:
    return f"{first}, then {second}"


def _locked(results: Results, of: str) -> int:
    """Return how many tries of a pair count; one that went wrong does, so that there is an end."""
    tries = (one for one in results.tries.values() if one["of"] == of)
    return sum(one["locked"] or not one["passed"] for one in tries)


def _attempt(whole: Whole, second: str, chance: random.Random) -> Try:
    """Begin in a folder, and begin or resume there a moment later.

    Two commands that begin do so at the same time in half of the tries; else the second waits
    until the run folder is there.
    """
    out, again = whole.scratch / "run", second != "resume"
    offset = chance.choice((0.0, chance.uniform(0, 0.1), chance.uniform(0, 0.9 * whole.seconds)))
    together = again and chance.random() < 0.5
    while True:
        shutil.rmtree(out, ignore_errors=True)
        one = tiny.start(whole.kind, out, whole.cache)
        if not together:
            while one.poll() is None and not (out / "run.json").exists():
                time.sleep(POLL_S)
            time.sleep(offset)
        if one.poll() is None:
            other = tiny.start(second, out, whole.cache) if again else tiny.resume(out)
            ended = [one.wait(), other.wait()]
            if again or not found_it_over(*ended) or tiny.differences(out, whole.folder):
                break
        else:
            one.wait()
        offset /= 2  # it was over before the other was there: not a try
    found: Try = {
        "offset_s": None if together else round(offset, 4),
        "exit_codes": [each.code for each in ended],
        "locked": int(any(LOCKED in each.err for each in ended)),
        "taken": int(any(TAKEN in each.err for each in ended)),
    }
    wrong = wrong_of(ended, again=again) or tiny.differences(out, whole.folder)
    return found if wrong is None else {**found, "wrong": wrong}


def found_it_over(first: Ended, resumed: Ended) -> bool:
    """Return whether a `resume` found the first at its end: it then does nothing, and says so."""
    return [first.code, resumed.code] == [0, 0] and OVER in resumed.out


def wrong_of(ended: list[Ended], *, again: bool) -> str | None:
    """Say what is wrong where not exactly one has worked and the other was refused.

    Parameters
    ----------
    ended : list of Ended
    again : bool
        Whether the other begins as well: a run that is there is a reason to refuse that, too.
    """
    codes = sorted(each.code for each in ended)
    if codes != [0, 2]:
        return f"exit codes {codes}: {' | '.join(each.err.strip()[-200:] for each in ended)}"
    refused = next(each for each in ended if each.code)
    if LOCKED not in refused.err and not (again and TAKEN in refused.err):
        return f"refused, but not by the lock: {refused.err.strip()[-200:]}"
    return next((wrong for each in ended if (wrong := each.wrong([0, 2]))), None)
