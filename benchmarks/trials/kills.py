"""Kill commands at random moments, at any time and at any write, and go on to the end.

Every try kills a command, most kill the command that goes on as well, some more than once.  The
run must end as if nothing had happened: the same results, rounds and adapters, and no file more.
"""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from trials import tiny, writes
from trials.processes import Ended, Hook, Process, load_libraries
from trials.results import Results, Try

Begin = Callable[[Hook | None], Process]

KILLS = 200
SHARES = {"compare": 0.25, "run": 0.25, "sweep": 0.25, "resume": 0.25}


def run(results: Results, scratch: Path, reduced: bool) -> None:
    """Make the tries that are missing."""
    scratch.mkdir(parents=True)
    load_libraries()
    kinds = ("run",) if reduced else tiny.COMMANDS
    whole = {kind: Whole(kind, scratch) for kind in kinds}
    for of, share in SHARES.items():
        wanted, number = 4 if reduced else round(KILLS * share), 0
        if of not in (*kinds, "resume"):
            continue
        while _kills(results, of) < wanted:
            kind = of if of != "resume" else kinds[number % len(kinds)]
            results.attempt(
                f"{of}-{number:03d}",
                of,
                lambda of=of, kind=kind, number=number: _attempt(
                    whole[kind], of, random.Random(f"{of} {number}")
                ),
            )
            number += 1


def _kills(results: Results, of: str) -> int:
    return sum(one["kills"] for one in results.tries.values() if one["of"] == of)


class Whole:
    """A run that nothing disturbs: its time [s], and the changes of files that it makes."""

    def __init__(self, kind: str, scratch: Path) -> None:
        self.kind, self.scratch = kind, scratch
        self.cache, self.folder = scratch / "cache", scratch / f"{kind}-whole"
        command = tiny.arguments(kind, self.folder, self.cache)
        Process(command, scratch, limited=False).wait()  # compiles, and fills the caches
        self.creations = self._count(removals=False)
        self.writes = self._count(removals=True)

    def _count(self, *, removals: bool) -> int:
        """Run it, and return how many changes of files it makes."""
        shutil.rmtree(self.folder)
        notes = self.scratch / "writes"
        hook = writes.counted(self.folder, notes, removals=removals)
        ended = tiny.start(self.kind, self.folder, self.cache, hook).wait()
        assert ended.code == 0, ended.err
        self.seconds, made = ended.seconds, notes.stat().st_size
        notes.unlink()
        return made


def _attempt(whole: Whole, of: str, chance: random.Random) -> Try:
    """Begin a run, kill it and perhaps what goes on with it, go on to the end, and compare."""
    out = whole.scratch / "run"
    shutil.rmtree(out, ignore_errors=True)
    cache, cold = whole.cache, chance.random() < 0.2
    if cold:  # the base model is trained again, and may be killed in that
        shutil.rmtree(cache)
    moments: list[str] = []
    killed = [_kill(lambda hook: tiny.start(whole.kind, out, cache, hook), whole, chance, moments)]
    first = killed
    if of == "resume":
        # What is killed and counted here is what goes on; the first kill only interrupts.
        killed = [
            _kill(lambda hook: tiny.resume(out, hook), whole, chance, moments)
            for _ in range(chance.randint(1, 3))
        ]
    counted = sum(one.code == -signal.SIGKILL for one in killed)
    hung = next((one.wrong([]) for one in (*first, *killed) if one.hung), None)
    ended = tiny.finish(whole.kind, out, cache)
    wrong = hung or ended.wrong([0]) or tiny.differences(out, whole.folder)
    if wrong is None and (left := tiny.left_behind(cache)):
        wrong = f"left {left} in the cache"
    found: Try = {"kills": counted, "moments": moments, "cold_cache": cold}
    return found if wrong is None else {**found, "wrong": wrong}


def _kill(begin: Begin, whole: Whole, chance: random.Random, moments: list[str]) -> Ended:
    """Start a command and kill it at some moment, if it is still running then."""
    if chance.random() < 0.5:
        number = chance.randrange(whole.writes)
        delay = chance.choice((0.0, 0.0, chance.expovariate(500.0)))
        moments.append(f"write {number} + {1e3 * delay:.2f} ms")
        process = begin(writes.at_write(whole.scratch / "run", number, _after(delay)))
        return process.wait()
    moment = chance.uniform(0, whole.seconds)
    moments.append(f"{moment:.3f} s")
    process = begin(None)
    time.sleep(moment)
    return process.kill()


def _after(delay: float) -> Callable[[], None]:
    """Return what kills this process now, or from beside it some time later."""
    if delay == 0.0:
        return writes.killed

    def later() -> None:
        timer = threading.Timer(delay, writes.killed)
        timer.daemon = True
        timer.start()

    return later
