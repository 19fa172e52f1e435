"""Everything of a scenario that can be checked without training, and what a run will take."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from airtune.errors import FailedError, InputError
from airtune.learning.data import LEFT_OUT_KEPT, LeftOut, Record
from airtune.learning.folders import any_cached, cached, check_cache, is_cached
from airtune.learning.twins import cost_twin
from airtune.memory import GIB, total_bytes
from airtune.registry import PROPOSAL, SCHEMES
from airtune.scenario import Scenario
from airtune.scenario.costs import CostTwin
from airtune.scenario.idle import doubts
from airtune.study import compare
from airtune.study.dependence import depends_on
from airtune.study.estimates import (
    ModelFacts,
    check_memory,
    client_memory_gib,
    clocks,
    memory_gib,
    spent_s,
    training_rate,
    wall_s,
)

if TYPE_CHECKING:
    from airtune.learning.sizes import Outline
    from airtune.learning.text import Encoder, Example
    from airtune.planning.alternate import JointPlan
    from airtune.planning.coherence import Coherence
    from airtune.planning.repetition import Repetition

KIND, FACTS = "check", "facts.json"

T = TypeVar("T")


@dataclass
class Preflight:
    """What a check has found.

    Attributes
    ----------
    problems : list of str
        What a run would refuse.
    warnings : list of str
        Settings that are far from what is plausible, or that do nothing.
    estimates : dict of str to float or None
        ``wall_s`` [s] and ``memory_gib`` [GiB] of this machine; ``rounds``, ``time_s`` [s] and
        ``energy_j`` [J] as planned for the proposal, or the first scheme without it.  None where a
        problem leaves it unknown.
    records : list of dict
        How training records are learnt.
    left_out : list of LeftOut
        Records that are not used.
    examples, cut : int
        Training examples, and those of them that are cut to `data.max_tokens`.
    cost_twin : CostTwin or None
        Whose costs the simulated time and energy are; None: those of the trained model.
    client_memory_gib : dict of str to float
        What a client of each scheme has to hold, by scheme.
    coherence : Coherence or None
        How long the paths last, against the times of a planned round; None where it is not known.
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
    examples: int = 0
    cut: int = 0
    cost_twin: CostTwin | None = None
    client_memory_gib: dict[str, float] = field(default_factory=dict)
    coherence: Coherence | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``airtune check --json`` prints."""
        first = self.left_out[:LEFT_OUT_KEPT]
        return {
            "ok": not self.problems,
            "problems": self.problems,
            "warnings": self.warnings,
            "estimates": self.estimates,
            "records": self.records,
            "left_out": [{"place": one.place, "why": one.why} for one in first],
            "left_out_count": len(self.left_out),
            "examples": self.examples,
            "cut": self.cut,
            "client_memory_gib": self.client_memory_gib,
            **({} if self.coherence is None else {"coherence": self.coherence.to_dict()}),
            **({} if self.cost_twin is None else {"cost_twin": self.cost_twin.to_dict()}),
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
    """Check a scenario as a comparison would meet it; nothing is trained.

    No weights are read but those of an adapter to start from, one matrix after the other.

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
    found = Preflight(warnings=doubts(scenario))
    if scenario.data.format == "preference" and scenario.training.client_objective == "sft":
        found.warnings.append(
            "data.format = preference with training.client_objective = sft: only the better "
            "answers are learnt; dpo learns from both"
        )
    age, apart = scenario.radio.csi.age_s, scenario.radio.paths.block_interval_s
    if age != "round" and age > apart:
        found.warnings.append(
            f"radio.csi.age_s = {age:g} s is longer than radio.paths.block_interval_s = {apart:g} "
            "s: clients send over paths later than those that the next round begins with"
        )
    checked = found.attempt(lambda: compare.check(scenario, "compare"))
    scenario = checked or scenario
    found.cost_twin = found.attempt(lambda: cost_twin(scenario))
    found.attempt(lambda: _check_files(scenario))
    if scenario.model.source == "small" or Path(scenario.model.source).suffix == ".gguf":
        found.attempt(lambda: check_cache(Path(scenario.cache)))
    facts = found.attempt(lambda: _facts(scenario, found, records))
    found.attempt(lambda: _check_start(scenario, facts))
    if facts is None:
        return found
    found.left_out = list(facts.left_out)
    found.examples, found.cut = facts.examples, facts.cut
    found.estimates["memory_gib"] = memory_gib(scenario, facts)
    for name in scenario.schemes if checked is not None else ():
        forward = bool(getattr(SCHEMES[name], "forward_only", False))
        needed = client_memory_gib(scenario, facts, forward_only=forward)
        found.client_memory_gib[name] = needed
    fits = found.attempt(lambda: _check_memory(scenario, facts, found))
    if checked is None or not fits:
        return found
    from airtune.planning.coherence import Coherence
    from airtune.planning.repetition import Repetition

    began = clocks()
    repetition = Repetition(scenario, scenario.seed, facts.sizes)
    plans = found.attempt(lambda: _plans(repetition))
    if plans is not None:
        planning_s = spent_s(began) / len(set(map(id, plans.values())))
        joint = plans.get(PROPOSAL) or next(iter(plans.values()))
        found.estimates["rounds"] = joint.plan.rounds
        found.estimates["time_s"] = joint.plan.latency_s.total
        found.estimates["energy_j"] = joint.plan.energy_j.total
        found.coherence = Coherence.of(repetition, joint)
        rounds_s = wall_s(scenario, facts, plans, planning_s)
        found.estimates["wall_s"] = rounds_s + _pretraining_s(scenario, facts)
    return found


def _check_memory(scenario: Scenario, facts: ModelFacts, found: Preflight) -> bool:
    """Refuse a model that does not fit into the memory; warn where its batches may not."""
    adapter = sum(matrix.size for matrix in facts.sizes.matrices)
    check_memory(scenario, facts.weights, adapter)
    needed, there = memory_gib(scenario, facts), total_bytes() / GIB
    if needed > there:
        found.warnings.append(
            f"a run takes about {needed:.3g} GiB of memory, here are {there:.3g} GiB: lower "
            "training.batch_size_max, evaluation.batch_size or data.max_tokens"
        )
    return True


def _check_files(scenario: Scenario) -> None:
    """Refuse files of pre-training that cannot be read."""
    # All import torch, which takes longer than everything else of a check whose facts are known.
    if scenario.data.pretraining_corpus is not None:
        from airtune.learning.corpus import read_texts

        read_texts(Path(scenario.data.pretraining_corpus))
    if scenario.model.source == "small" and scenario.pretraining.sources != ("sample",):
        from airtune.learning.pretrain import corpus_records

        corpus_records(scenario)


def _check_start(scenario: Scenario, facts: ModelFacts | None) -> None:
    """Refuse an adapter to start from that a run would refuse, as far as the model is known."""
    if scenario.model.adapter is not None:
        from airtune.learning.lora import AdapterShape, check_start

        shape = None if facts is None else AdapterShape(facts.sizes.matrices, facts.patterns)
        check_start(Path(scenario.model.adapter), scenario.model.lora, shape)


def _facts(scenario: Scenario, found: Preflight, records: int) -> ModelFacts:
    """Return the facts of model and data, and show records; facts that are known are read."""
    key = depends_on(scenario)
    cache = Path(scenario.cache)
    if records == 0 and key is not None and is_cached(cache, KIND, key):
        try:
            folder = cached(cache, KIND, key, lambda folder: None)
            return ModelFacts.from_dict(json.loads((folder / FACTS).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # damaged: made again below, and not kept
    from airtune.learning.sizes import outline

    outlined = outline(scenario, scenario.seed)
    found.records = shown_records(outlined, records)
    facts = ModelFacts.of(outlined)
    if key is not None:
        text = json.dumps(facts.to_dict())
        # Without a place to keep them the next check takes longer, no more.
        with contextlib.suppress(OSError, InputError, FailedError):
            cached(cache, KIND, key, lambda folder: _write(folder / FACTS, text))
    return facts


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _plans(known: Repetition) -> dict[str, JointPlan] | None:
    """Return the plans; None where they need a pilot, or constants that the model has to tell."""
    from airtune.planning.forward import for_scheme
    from airtune.planning.plans import plan_all

    scenario = known.scenario
    for name in scenario.schemes:
        for_scheme(known, name)
    if scenario.bound.calibrated or scenario.planning.predicts:
        return None
    return plan_all(known, list(scenario.schemes))


def _pretraining_s(scenario: Scenario, facts: ModelFacts) -> float:
    """Estimate the time of phase 1 [s]: 0 where the cache has the model, or it is ready."""
    if scenario.model.source != "small":
        return 0.0
    made_of = {
        "model": scenario.model.small.model_dump(mode="json"),
        "pretraining": scenario.pretraining.model_dump(mode="json", exclude={"charge", "sources"}),
        "seed": scenario.seed,
    }
    if any_cached(Path(scenario.cache), "small", made_of):
        return 0.0
    cost = facts.sizes.pretraining_cost
    # 6 FLOP a weight and token where the frozen base has 4.
    per_sample = cost.flop_per_sample or 1.5 * facts.sizes.flop_per_sample
    return per_sample * cost.steps * cost.batch_size / training_rate(scenario, facts)


def shown_records(outline: Outline, count: int) -> list[dict[str, Any]]:
    """Return training records as the model sees them, the clients' first ones in turn.

    Returns
    -------
    list of dict
        With ``place``, ``client``, ``prompt`` and ``learnt`` (decoded, special tokens included;
        ``parts`` tells turns of others between learnt ones apart), ``ids`` and ``mask`` (1 where a
        token is learnt), and ``cut`` (to `data.max_tokens`); of pairs of answers also
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
    parts = _parts(encoder, example)
    shown = {
        "place": record.place,
        "client": client,
        "prompt": parts[0]["text"],
        "learnt": "".join(part["text"] for part in parts[1:]),
        "parts": parts,
        "ids": list(example.ids),
        "mask": mask.tolist(),
        "cut": example.cut,
    }
    if isinstance(example, Pair):
        prompt, *answer = _parts(encoder, example.worse)
        shown["rejected_prompt"] = prompt["text"]
        shown["rejected"] = "".join(part["text"] for part in answer)
    return shown


def _parts(encoder: Encoder, example: Example) -> list[dict[str, Any]]:
    """Return the text of an example in parts that are given or learnt, the prompt first."""
    decode = encoder.tokenizer.decode
    borders = [0, *(place for span in example.learnt for place in span)]
    # By their heads: a tokenizer may write a token at the start of a text in another way.
    heads = [
        str(decode(example.ids[:place], clean_up_tokenization_spaces=False)) for place in borders
    ]
    parts = []
    for number, (before, after) in enumerate(pairwise(zip(borders, heads, strict=True))):
        (start, text), (stop, longer) = before, after
        if longer.startswith(text):
            piece = longer[len(text) :]
        else:  # a character of several tokens is parted
            piece = str(decode(example.ids[start:stop], clean_up_tokenization_spaces=False))
        parts.append({"learnt": number % 2 == 1, "text": piece})
    return parts
