"""Names of the files and folders of a run folder, each spelt here and nowhere else.

A run folder (``airtune run``, ``airtune compare``) holds::

    run.json  scenario.yaml  environment.json  inputs.json  results.json  report.html  figures/
    lock  pilots-<i>.json  track/
    <scheme>/seed-<i>/  metrics.jsonl  plan.json  finished.json  placement.json  samples.json
                        holdings.json  left_out.json  digests.json  checkpoint/  adapter/

A sweep folder holds the same head and one run folder for each point of its grid.  ``airtune plan``
and ``airtune calibrate`` write their documents under the names given here, too.
"""

from __future__ import annotations

import re

RUN = "run.json"
SCENARIO = "scenario.yaml"
ENVIRONMENT = "environment.json"
INPUTS = "inputs.json"
RESULTS = "results.json"
PAGE = "report.html"
FIGURES = "figures"
LOCK = "lock"
TRACK = "track"

METRICS = "metrics.jsonl"
PLAN = "plan.json"
FINISHED = "finished.json"
DIGESTS = "digests.json"
PLACEMENT = "placement.json"
SAMPLES = "samples.json"
HOLDINGS = "holdings.json"
LEFT_OUT = "left_out.json"
ADAPTER = "adapter"
CHECKPOINT = "checkpoint"
CHECKPOINT_STATE = "state.json"
CHECKPOINT_BEFORE = "previous.json"
CHECKPOINT_ARRAYS = "round-*.safetensors"

CALIBRATION = "calibration.json"

INFEASIBLE = "infeasible-*.json"
"""Pattern of the notes that a sweep leaves where a point's budgets cannot be kept."""

PILOTS = "pilots-*.json"
"""Pattern of the pilots that the plans of a repetition were made of."""

HEAD = (RUN, SCENARIO, ENVIRONMENT)
"""What a run folder holds before its first cell."""

OF_A_RUN = (*HEAD, INPUTS, RESULTS, PAGE, INFEASIBLE, PILOTS)
OF_A_CELL = (METRICS, PLAN, FINISHED, PLACEMENT, SAMPLES, HOLDINGS, LEFT_OUT, DIGESTS, ADAPTER)
OF_A_CHECKPOINT = (CHECKPOINT_STATE, CHECKPOINT_BEFORE, CHECKPOINT_ARRAYS)
"""What is replaced as a whole in a run folder, in the folder of a cell, and in its checkpoint."""

SEED_FOLDERS = "seed-*"
"""Pattern of the folders of a scheme's repetitions."""


def seed_folder(seed: int) -> str:
    """Return the folder of a repetition within that of its scheme."""
    return SEED_FOLDERS.replace("*", str(seed))


def seed_number(folder: str) -> int | None:
    """Return the repetition whose folder has that name; None for the name of anything else.

    Examples
    --------
    >>> seed_number("seed-12"), seed_number("seed-one")
    (12, None)
    """
    match = re.fullmatch(SEED_FOLDERS.replace("*", r"(\d+)"), folder)
    return int(match[1]) if match else None


def infeasible(seed: int) -> str:
    """Return the note that the budgets of a sweep's point cannot be kept in a repetition."""
    return INFEASIBLE.replace("*", str(seed))


def pilots(seed: int) -> str:
    """Return the file of the pilots of a repetition."""
    return PILOTS.replace("*", str(seed))


def checkpoint_arrays(round_index: int) -> str:
    """Return the file of a checkpoint's arrays."""
    return f"round-{round_index:06d}.safetensors"


def temporary(name: str, token: str = "") -> str:
    """Return the name under which a file is written until it is whole.

    Examples
    --------
    >>> temporary("plan.json", "0123abcd")
    'plan.json.0123abcd.tmp'
    """
    return f"{name}.{token}.tmp" if token else f"{name}.tmp"
