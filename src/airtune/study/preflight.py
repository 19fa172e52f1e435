"""Everything of a scenario that can be checked without training, and what a run will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from airtune.errors import InputError
from airtune.learning.data import LeftOut, Record
from airtune.registry import PROPOSAL
from airtune.scenario import Scenario
from airtune.scenario.plausible import implausible
from airtune.study import compare

if TYPE_CHECKING:
    from airtune.learning.sizes import Outline
    from airtune.learning.text import Encoder, Example
    from airtune.planning.alternate import JointPlan

GIB = 2.0**30
LIBRARIES_GIB = 0.7
"""Memory of Python with its libraries, before any model."""
EFFICIENCY = 0.35
"""Share of the rate of plain matrix products that training reaches."""
MOST_LEFT_OUT = 100

T = TypeVar("T")


@dataclass
class Preflight:
    """What a check has found.

    Attributes
    ----------
    problems : list of str
        What a run would refuse.
    warnings : list of str
        Settings that are far from what is plausible.
    estimates : dict of str to float or None
        ``wall_s`` [s] and ``memory_gib`` [GiB] of this machine; ``rounds``, ``time_s`` [s] and
        ``energy_j`` [J] as planned for the proposal, or the first scheme without it.  None where a
        problem leaves it unknown.
    records : list of dict
        How training records are learnt.
    left_out : list of LeftOut
        Records that are not used.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    estimates: dict[str, float | None] = field(
        default_factory=lambda: dict.fromkeys(
            ("wall_s", "memory_gib", "rounds", "time_s", "energy_j")
        )
    )
    records: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``airtune check --json`` prints."""
        first = self.left_out[:MOST_LEFT_OUT]
        return {
            "ok": not self.problems,
            "problems": self.problems,
            "warnings": self.warnings,
            "estimates": self.estimates,
            "records": self.records,
            "left_out": [{"place": one.place, "why": one.why} for one in first],
            "left_out_count": len(self.left_out),
        }

    def attempt(self, work: Callable[[], T]) -> T | None:
        """Return what `work` returns; note the problem where it raises one."""
        try:
            return work()
        except InputError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return None


def preflight(scenario: Scenario, records: int = 0) -> Preflight:
    """Check a scenario as a comparison would meet it; nothing is trained, no weights are read.

    Settings and names, files, template and tokenisation, and the budgets by the plan of each
    scheme, for the first repetition.

    Parameters
    ----------
    scenario : Scenario
    records : int
        Show so many training records as tokens, the clients' first ones in turn.

    Returns
    -------
    Preflight
    """
    found = Preflight(warnings=implausible(scenario))
    checked = found.attempt(lambda: compare.check(scenario, "compare"))
    scenario = checked or scenario
    found.attempt(lambda: _check_files(scenario))
    outline = found.attempt(lambda: _outline(scenario))
    if outline is None:
        return found
    found.left_out = list(outline.data.split.left_out)
    found.records = list(shown_records(outline, records))
    found.estimates["memory_gib"] = memory_gib(scenario, outline)
    if checked is None:
        return found
    began = time.perf_counter()
    plans = found.attempt(lambda: _plans(scenario, outline))
    if plans is not None:
        planning_s = (time.perf_counter() - began) / len(set(map(id, plans.values())))
        joint = plans.get(PROPOSAL) or next(iter(plans.values()))
        found.estimates["rounds"] = joint.plan.rounds
        found.estimates["time_s"] = joint.plan.latency_s.total
        found.estimates["energy_j"] = joint.plan.energy_j.total
        found.estimates["wall_s"] = wall_s(scenario, outline, plans, planning_s)
    return found


def _check_files(scenario: Scenario) -> None:
    """Refuse files of pre-training that cannot be read."""
    from pathlib import Path

    from airtune.learning.corpus import read_texts
    from airtune.learning.pretrain import corpus_records

    if scenario.data.pretraining_corpus is not None:
        read_texts(Path(scenario.data.pretraining_corpus))
    if scenario.model.source == "small":
        corpus_records(scenario)


def _outline(scenario: Scenario) -> Outline:
    from airtune.learning.sizes import outline

    return outline(scenario, scenario.seed)


def _plans(scenario: Scenario, outline: Outline) -> dict[str, JointPlan] | None:
    """Return the plans; None where constants of the bound are to be measured on the model."""
    from airtune.planning.plans import plan_all
    from airtune.planning.repetition import Repetition, calibrated

    if calibrated(scenario):
        return None
    return plan_all(Repetition(scenario, scenario.seed, outline.sizes), list(scenario.schemes))


def shown_records(outline: Outline, count: int) -> list[dict[str, Any]]:
    """Return training records as the model sees them, the clients' first ones in turn.

    Returns
    -------
    list of dict
        With ``place``, ``client``, ``prompt`` and ``learnt`` (decoded, special tokens included),
        ``ids`` and ``mask`` (1 where a token is learnt); of pairs of answers also
        ``rejected_prompt`` and ``rejected``.
    """
    data = outline.data
    depth = max(len(share) for share in data.shares)
    order = (
        (client, share[number])
        for number in range(depth)
        for client, share in enumerate(data.shares)
        if number < len(share)
    )
    return [
        _shown(data.encoder, data.split.training[i], data.split.training_examples[i], client)
        for (client, i), _ in zip(order, range(count), strict=False)
    ]


def _shown(encoder: Encoder, record: Record, example: Example, client: int) -> dict[str, Any]:
    from airtune.learning.pairs import Pair

    mask = np.zeros(len(example.ids), int)
    for start, stop in example.learnt:
        mask[start:stop] = 1
    prompt, learnt = _decoded(encoder, example)
    shown = {
        "place": record.place,
        "client": client,
        "prompt": prompt,
        "learnt": learnt,
        "ids": list(example.ids),
        "mask": mask.tolist(),
    }
    if isinstance(example, Pair):
        shown["rejected_prompt"], shown["rejected"] = _decoded(encoder, example.worse)
    return shown


def _decoded(encoder: Encoder, example: Example) -> tuple[str, str]:
    """Return the texts of prompt and response, which make up the text of all tokens."""
    decode = encoder.tokenizer.decode
    whole = str(decode(example.ids, clean_up_tokenization_spaces=False))
    prompt = str(decode(example.ids[: example.prompt], clean_up_tokenization_spaces=False))
    if whole.startswith(prompt):
        return prompt, whole[len(prompt) :]
    # A character of several tokens is parted.
    return prompt, str(decode(example.ids[example.prompt :], clean_up_tokenization_spaces=False))


def memory_gib(scenario: Scenario, outline: Outline) -> float:
    """Estimate the memory of a run [GiB]: libraries, weights, and a batch in training.

    Of a token in training every layer keeps about 34 values of the width of the model (Korthikanti
    et al.: Reducing activation recomputation in large transformer models, 2022, without attention
    scores), and the language head one logit and its gradient for each word and response token.
    """
    settings = scenario.model
    weight = {"float32": 4.0}.get(settings.dtype, 2.0)
    weights = sum(p.numel() for p in outline.base.parameters())
    if settings.quantization == "nf4":
        weight = 4.5 / 8
    config = outline.base.config.get_text_config()
    width = float(getattr(config, "hidden_size", 0) or 0)
    layers = (
        2.0
        if settings.gradient_checkpointing
        else float(getattr(config, "num_hidden_layers", 0) or 0)
    )
    examples = outline.data.split.training_examples
    longest = max(len(example.ids) for example in examples)
    learnt = float(np.mean([example.learnt_tokens for example in examples]))
    batch = scenario.training.batch_size_max
    vocabulary = float(getattr(config, "vocab_size", 0) or 0)
    values = batch * (longest * layers * width * 34 / 2 + learnt * vocabulary * 2)
    values += scenario.evaluation.batch_size * learnt * vocabulary
    adapters = sum(matrix.size for matrix in outline.sizes.matrices)
    values += adapters * (4 + scenario.clients.count)
    return float(LIBRARIES_GIB + (weights * weight + 4 * values) / GIB)


def wall_s(
    scenario: Scenario, outline: Outline, plans: dict[str, JointPlan], planning_s: float
) -> float:
    """Estimate how long a comparison takes here [s], up to a factor of about two.

    The learning by its floating-point operations at the rate of this machine, and the placement of
    each round by the time that planning a scheme took.
    """
    flop = outline.sizes.flop_per_sample
    evaluations = scenario.evaluation.records / scenario.evaluation.every / 2
    learning = radio = 0.0
    for joint in plans.values():
        plan = joint.plan
        samples = plan.batch_sizes[plan.participants].sum() * scenario.training.local_steps
        learning += plan.rounds * (samples + evaluations) * flop
        radio += plan.rounds * planning_s / 4
    from airtune.learning.speed import matmul_rate

    examples = outline.data.split.training_examples
    batch = min(scenario.training.batch_size_max, 64)
    tokens = int(np.mean([len(example.ids) for example in examples]) * batch) + 1
    config = outline.base.config.get_text_config()
    rate = matmul_rate(tokens, int(getattr(config, "hidden_size", 512) or 512), scenario.threads)
    seconds = scenario.seeds * (learning / (EFFICIENCY * rate) + radio)
    return float(seconds + _pretraining_flop(scenario, outline) / (EFFICIENCY * rate))


def _pretraining_flop(scenario: Scenario, outline: Outline) -> float:
    """Return the FLOP of phase 1, 0 where the cache has the model or it is ready."""
    from airtune.learning.pretrain import is_made

    if scenario.model.source != "small" or is_made(scenario):
        return 0.0
    cost = outline.sizes.pretraining_cost
    per_sample = cost.flop_per_sample or 1.5 * outline.sizes.flop_per_sample
    return per_sample * cost.steps * cost.batch_size
