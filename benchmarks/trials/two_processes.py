"""Two processes on one folder: one works, the other is refused, nothing of the first is lost."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from trials import tiny
from trials.kills import Whole
from trials.processes import Ended, load_libraries
from trials.results import Results, Try

TRIES = 50
POLL_S = 0.002
LOCKED = "another process is writing this run"
PAIRS = (("compare", "compare"), ("run", "resume"), ("compare", "resume"), ("sweep", "sweep"))


def run(results: Results, scratch: Path, reduced: bool) -> None:
    """Make the tries that are missing."""
    scratch.mkdir(parents=True)
    load_libraries()
    pairs = (("run", "resume"),) if reduced else PAIRS
    whole = {first: Whole(first, scratch) for first in dict.fromkeys(pair[0] for pair in pairs)}
    for number in range(3 if reduced else TRIES):
        first, second = pairs[number % len(pairs)]
        results.attempt(
            f"two-{number:03d}",
            f"{first}, then {second}",
            lambda number=number, first=first, second=second: _attempt(
                whole[first], second, random.Random(number)
            ),
        )


def _attempt(whole: Whole, second: str, chance: random.Random) -> Try:
    """Begin in a folder, and begin or resume there a moment later.

    Two tries of three wait for the run folder to be there: then the lock alone may refuse `resume`;
    a command that begins may also be told that there is a run.
    """
    out = whole.scratch / "run"
    offset = chance.choice((0.0, chance.uniform(0, 0.1), chance.uniform(0, 0.9 * whole.seconds)))
    while True:
        shutil.rmtree(out, ignore_errors=True)
        one = tiny.start(whole.kind, out, whole.cache)
        while offset and one.poll() is None and not (out / "run.json").exists():
            time.sleep(POLL_S)
        time.sleep(offset)
        if one.poll() is None:
            break
        one.wait()  # it was over before the other could begin: not a try
        offset /= 2
    again = second != "resume"
    other = tiny.start(second, out, whole.cache) if again else tiny.resume(out)
    ended = [one.wait(), other.wait()]
    found: Try = {"offset_s": round(offset, 4), "exit_codes": [each.code for each in ended]}
    found["locked"] = int(any(LOCKED in each.err for each in ended))
    begun = offset > 0 and not again
    wrong = wrong_of(ended, begun=begun) or tiny.differences(out, whole.folder)
    return found if wrong is None else {**found, "wrong": wrong}


def wrong_of(ended: list[Ended], *, begun: bool) -> str | None:
    """Say what is wrong where not exactly one has worked and the other was refused.

    Parameters
    ----------
    ended : list of Ended
    begun : bool
        Whether the first had the lock before a `resume` came: that has to be the reason then.
    """
    codes = sorted(each.code for each in ended)
    if codes != [0, 2]:
        return f"exit codes {codes}: {' | '.join(each.err.strip()[-200:] for each in ended)}"
    refused = next(each for each in ended if each.code)
    if begun and LOCKED not in refused.err:
        return f"refused, but not by the lock: {refused.err.strip()[-200:]}"
    return next((wrong for each in ended if (wrong := each.wrong([0, 2]))), None)
