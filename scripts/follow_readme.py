"""Follow the README: run every command under "Use it" as it is typed, on small settings.

    python scripts/follow_readme.py        in an empty folder of its own; prints each command

Settings that make a run small are added to commands that take settings; a run folder's name with a
date stands for the newest run.  Commands that fetch something are left out.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BIN = Path(sys.executable).parent
SMALL = (
    *(
        "training.rounds=2",
        "training.learning_rate=0.001",
        "pretraining.steps=5",
        "evaluation.records=20",
        "placement.mode=fast",
    ),
    *("evaluation.answers=2", "calibration.rounds=4", "calibration.points=2"),
    *("calibration.samples=4", "calibration.iterations=3", "calibration.shift_samples=20"),
)
TAKES_SETTINGS = {"compare", "run", "sweep", "check", "plan", "calibrate"}
FEWER = {"sweep": ["--seeds", "1", "--schemes", "movable,fixed"]}
INPUT = {"chat": "Add 1 and 2.\n/exit\n"}
PROBLEM = {
    "bound": {
        "L": 1.0,
        "mu": 0.1,
        "eta": 0.5,
        "sigma_g_sq": 1.0,
        "G_sq": 1.0,
        "L_x": 0.1,
        "W1": 0.1,
        "L0": 1.0,
        "mu0": 0.1,
        "eta0": 0.5,
        "sigma0_sq": 1.0,
        "delta_pre": 1.0,
    },
    "clients": [
        {
            "omega": 0.5,
            "cycles_per_sample": 1e8,
            "kappa": 1e-27,
            "f_min": 1e8,
            "f_max": 1e9,
            "batch_max": 16,
            "tx_power_w": 0.1,
            "energy_budget_j": None,
        }
    ]
    * 2,
    "server": {
        "cycles_per_sample": 1e8,
        "kappa": 1e-28,
        "f_min": 1e8,
        "f_max": 1e10,
        "batch_max": 32,
        "rounds_max": 10,
    },
    "mse_star": 0.1,
    "uplink_s": 0.01,
    "downlink_s": 0.01,
    "pilot_s": 0.001,
    "move_s": 0.1,
    "move_j": 0.1,
    "rounds_max": 50,
    "latency_budget_s": 60.0,
    "energy_budget_j": None,
}


def commands(text: str) -> list[str]:
    """Return the commands of the blocks of the section "Use it", without their comments."""
    section = text.partition("\n## Use it\n")[2].partition("\n## ")[0]
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    blocks = [text for language, text in fenced if not language]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    typed = [line.partition("  #")[0].strip() for line in lines]
    # What follows a download needs what was downloaded.
    fetched = [number for number, line in enumerate(typed) if line.startswith("pip download")]
    return [line for line in (typed[: fetched[0]] if fetched else typed) if line]


def small(command: str, cache: Path) -> list[str]:
    """Return the words of a command on small settings, the newest run in place of a dated one."""
    words = shlex.split(command)
    words[0] = str(BIN / words[0])
    words = [_newest(word) for word in words]
    if words[1] in TAKES_SETTINGS and "--problem" not in words:
        for setting in (*SMALL, f"cache={cache}"):
            words += ["--set", setting]
    # The last of an option counts.
    return words + FEWER.get(words[1], [])


def _newest(word: str) -> str:
    """Return the newest run of the scenario in a dated name of a run folder; other words as is."""
    dated = re.match(r"runs/(.*)-\d{8}-\d{6}$", word)
    if dated is None:
        return word
    runs = Path("runs").glob(f"{dated[1]}-*")
    return str(max(runs, key=lambda path: path.stat().st_mtime))


def main() -> None:
    """Run the commands; the first that fails ends it with its exit code."""
    found = commands(README.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("problem.json").write_text(json.dumps(PROBLEM), encoding="utf-8")
        for command in found:
            began = time.perf_counter()
            print(f"$ {command}", flush=True)
            words = small(command, Path("cache").absolute())
            done = subprocess.run(  # noqa: S603  # the README's own commands
                words,
                input=INPUT.get(shlex.split(command)[1], ""),
                text=True,
                capture_output=True,
                check=False,
            )
            if done.returncode != 0:
                print(done.stdout + done.stderr)
                sys.exit(f"{command!r} ended with {done.returncode}")
            print(f"  {time.perf_counter() - began:.0f} s", flush=True)
    print(f"{len(found)} commands of the README work")


if __name__ == "__main__":
    main()
