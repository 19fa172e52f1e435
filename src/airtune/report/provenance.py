"""How a run is made again, and how it is cited."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from airtune.record import names
from airtune.report.run_folder import RunFolder

_PAPER = """@article{zhao2025movable,
  title         = {Movable Antenna Enhanced Federated Fine-Tuning of Large Language Models via
                   Hybrid Client Selection Optimization},
  author        = {Zhao, Yang and Xiu, Yue and Dai, Chengxiao and Wei, Ning and Niyato, Dusit},
  year          = {2025},
  eprint        = {2506.00011},
  archivePrefix = {arXiv}
}"""


def version(environment: Mapping[str, Any]) -> str:
    """Return the version of airtune that a run was made with; empty where it is not known.

    Examples
    --------
    >>> version({"packages": {"airtune": "0.2.0"}})
    '0.2.0'
    """
    known = (environment.get("packages") or {}).get("airtune")
    return known if isinstance(known, str) and re.fullmatch(r"[\w.+!-]+", known) else ""


def _made_by(environment: Mapping[str, Any]) -> str:
    """Return version and commit of airtune in words."""
    commit = environment.get("commit")
    said = f"airtune {version(environment)}"
    if isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{7,64}", commit):
        changed = ", files changed since" if environment.get("commit_modified") else ""
        said += f", commit {commit[:12]}{changed}"
    return said


def again(run: RunFolder) -> str:
    """Return the commands that make a run again from the scenario that its folder and page hold."""
    lines = [f"# {_made_by(run.environment)}"] if version(run.environment) else []
    single = len(run.schemes) == 1 and not run.missing and "headline" not in run.results
    typed = str(run.environment.get("command") or "")
    imports = [part for module in _imported(typed) for part in ("--import", module)]
    command = ["airtune", *imports, "run" if single else "compare", names.SCENARIO]
    if single:
        command += ["--scheme", run.schemes[0].name]
    lines.append(shlex.join(command))
    if typed:
        lines.append(f"# as it was typed: {' '.join(typed.split())}")
    return "\n".join(lines)


def _imported(typed: str) -> list[str]:
    """Return the modules that a command line imports first.

    Examples
    --------
    >>> _imported("airtune --import mine --import=my.other run x.yaml")
    ['mine', 'my.other']
    """
    try:
        words = shlex.split(typed)
    except ValueError:  # an open quotation mark
        return []
    found = []
    for word, following in zip(words, [*words[1:], ""], strict=False):
        flag, equals, value = word.partition("=")
        if flag == "--import":
            found.append(value if equals else following)
    return [module for module in found if re.fullmatch(r"\w+(\.\w+)*", module)]


def citation(run: RunFolder) -> str:
    """Return the software and the paper behind its proposal in BibTeX."""
    made = version(run.environment)
    year = re.match(r"\d{4}", str(run.environment.get("date") or ""))
    fields = [
        ("title", "airtune: federated fine-tuning of language models over the air"),
        ("author", "{The airtune developers}"),
        ("version", made),
        ("year", year[0] if year else ""),
    ]
    body = ",\n".join(f"  {key:<7} = {{{value}}}" for key, value in fields if value)
    return f"@software{{airtune,\n{body}\n}}\n\n{_PAPER}"
