"""Run the rounds of a cell of a run folder: every round saved, any interruption resumed."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune import record
from airtune.errors import InputError
from airtune.learning.data import LEFT_OUT_KEPT
from airtune.learning.rouge import rouge_l
from airtune.planning.replan import CurrentPlan
from airtune.record import documents, names
from airtune.rounds import card
from airtune.rounds.federated import FederatedRun
from airtune.rounds.metrics import Metrics
from airtune.rounds.scores import client_models, shared_model
from airtune.schemes.picture import picture

CLIENTS = "clients"
"""Folder in that of an adapter with one of each client."""

RoundDone = Callable[[Metrics], None]

Decision = tuple[str, Any, Any, float]
"""Name of what a plan decides, in the plan before and now, and how far numbers may be apart."""

PLACES = {"max_travel": 0.0, "travel_price_db": 1e-6, "positions": 1e-4}
"""What of a plan's `radio` says where antennas go, and rounding of it: none is for a travel limit,
which follows from the clocks; finite differences give the price [dB], a search the positions
[wavelengths]."""


def execute(run: FederatedRun, cell: record.Cell, round_done: RoundDone) -> None:
    """Run all rounds that the cell still lacks; metrics and a checkpoint after each.

    Parameters
    ----------
    run : FederatedRun
        Before its first round.
    cell : Cell
        Folder of this scheme and seed; a checkpoint in it is resumed.
    round_done : callable
        Called with the metrics of each round, of those found on disk with the last.

    Raises
    ------
    InputError
        The cell was begun under another plan.
    """
    saved = record.load_checkpoint(cell)
    if saved is not None:
        _check_plan(run, cell)
        _restore(run, cell, *saved)
        round_done(record.read_metrics(cell)[-1])
    else:
        record.own_folders(cell.folder.parent, cell.folder)
        first = run.first_metrics()
        plan = run.current.joint.to_dict()
        record.write_document(cell.plan_file, documents.PlanDocument, plan, sealed=True)
        save(run, cell, first)
    while run.state.round < run.current.last_round:
        line = run.run_round()
        save(run, cell, line)
        round_done(line)


def _restore(
    run: FederatedRun, cell: record.Cell, index: int, arrays: record.Arrays, state: dict[str, Any]
) -> None:
    """Put a run where its checkpoint is."""
    try:
        run.state.load(index, arrays, state)
        if "plan" in state:
            run.current = CurrentPlan.from_dict(state["plan"], run.repetition)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{cell.checkpoint_folder}: is not of this run ({str(error)[:120]}); delete "
            f"{cell.folder} to start anew"
        ) from None


def save(run: FederatedRun, cell: record.Cell, line: Metrics) -> None:
    """Append the line of the round that has just ended and replace the checkpoint."""
    record.append_metrics(cell, line)
    totals: dict[str, Any] = {
        "latency_s": run.state.latency_s.to_dict(),
        "energy_j": run.state.energy_j.to_dict(),
        "move_s": run.state.move_s,
    }
    if run.state.placed_error is not None:
        totals["placed_error"] = run.state.placed_error
    if run.current.round > 0 or run.current.ended is not None:
        totals["plan"] = run.current.to_dict()
    record.save_checkpoint(cell, run.state.round, run.state.arrays(), totals)


def finish(run: FederatedRun, cell: record.Cell, before: Sequence[dict[str, str]]) -> None:
    """Save adapter with its model card, answers, holdings, left-out records and placement.

    Then the cell is marked finished.

    Parameters
    ----------
    run : FederatedRun
        After its last round.
    cell : Cell
    before : sequence of dict
        Answers of the model as it was before fine-tuning (:meth:`airtune.engines.Engine.samples`).
    """
    weights = run.repetition.weights(run.plan.participants)
    adapter = shared_model(run.state, run.sending.own_entries, weights)
    _save_adapter(run, cell, adapter)
    with record.writing(cell.adapter_folder / card.CARD):
        card.write(card.of_run(run.scenario, cell), cell.adapter_folder)
    holdings = run.engine.holdings()
    record.write_document(cell.holdings_file, documents.HoldingsDocument, holdings, sealed=True)
    left_out = dict(run.engine.left_out())
    left_out["records"] = list(left_out["records"])[:LEFT_OUT_KEPT]  # an engine may tell of more
    record.write_document(cell.left_out_file, documents.LeftOutDocument, left_out, sealed=True)
    after = run.engine.samples(adapter, len(before))
    record.write_json(cell.samples_file, compared_answers(before, after))
    picture = _picture(run)
    if picture is not None:
        kind = documents.PlacementDocument
        record.write_document(cell.placement_file, kind, picture, sealed=True)
    cut = {} if run.current.cut_by is None else {"stopped_by": run.current.cut_by}
    record.finish_cell(cell, {**run.state.summary(run.scenario.budget), **cut})


def _client_models(run: FederatedRun) -> list[NDArray[np.float32]]:
    """Return the adapters of clients that have each their own; none where all share one."""
    kept = run.sending.own_entries
    return [] if kept is None else client_models(run.state, kept, run.scenario.clients.count)


def _save_adapter(run: FederatedRun, cell: record.Cell, adapter: NDArray[np.float32]) -> None:
    """Write the adapter into a new folder, which then takes the place of one that is there.

    Adapters of single clients go into folders in it, ``clients/0`` and so on.
    """
    final = cell.adapter_folder
    record.own_folders(cell.folder.parent, cell.folder)
    work = final.with_name(names.temporary(final.name, secrets.token_hex(4)))
    try:
        with record.writing(final):
            run.engine.save(adapter, work)
            for client, own in enumerate(_client_models(run)):
                run.engine.save(own, work / CLIENTS / str(client))
            if final.is_symlink():
                final.unlink()
            elif final.is_dir():
                shutil.rmtree(final)
            work.replace(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def compared_answers(
    before: Sequence[dict[str, str]], after: Sequence[dict[str, str]]
) -> list[dict[str, Any]]:
    """Return the entries of samples.json: answers before and after, and how near the reference."""
    references = [sample.get("reference", "") for sample in before]
    scores = [rouge_l(references, [s["answer"] for s in samples]) for samples in (before, after)]
    return [
        {
            **then,
            "before": then["answer"],
            "after": now["answer"],
            "rouge_l_before": score_before,
            "rouge_l_after": score_after,
        }
        for then, now, score_before, score_after in zip(before, after, *scores, strict=True)
    ]


def _picture(run: FederatedRun) -> dict[str, object] | None:
    """Return antennas, beamformer and paths of the last round; None without a radio."""
    if run.scheme.name == "ideal":
        return None
    radio, weights = run.repetition.radio(run.state.round), run.state.effective_weights
    return picture(run.scheme.array.link(radio, weights, run.state.positions), weights)


def _check_plan(run: FederatedRun, cell: record.Cell) -> None:
    """Refuse to go on under another plan than the one that the cell began with."""
    before = record.read_document(cell.plan_file, documents.PlanDocument, sealed=True)
    now = documents.PlanDocument.model_validate(run.current.joint.to_dict())
    for name, was, new, apart in [*_decided(before, now), *_places(before, now, run)]:
        if not _same(was, new, apart):
            told = "" if isinstance(was, list | dict) else f": {was}, now {new}"
            raise InputError(
                f"{cell.folder}: {names.PLAN} is not the plan that this version of airtune makes "
                f"({name}{told}); resume with the version named in {names.ENVIRONMENT}"
            )


def _decided(before: documents.PlanDocument, now: documents.PlanDocument) -> Iterator[Decision]:
    """Yield what two plans decide of batches, clocks, powers and what is sent."""
    yield "rounds", before.rounds, now.rounds, 0.0
    yield "batch", before.batch, now.batch, 0.0
    yield "frequency_hz", before.frequency_hz["clients"], now.frequency_hz["clients"], 0.0
    for name in ("power_backoff", "repetition"):
        if getattr(before, name) is not None:  # not told by older versions
            yield name, getattr(before, name), getattr(now, name), 0.0
    yield "movement", _movement(before), _movement(now), 0.0
    sent = zip(("coding", "payload", "payload_size"), _sent(before), _sent(now), strict=True)
    for name, was, new in sent:
        yield name, was, new, 0.0


def _places(
    before: documents.PlanDocument, now: documents.PlanDocument, run: FederatedRun
) -> Iterator[Decision]:
    """Yield what two plans decide of where antennas with drives go in the rounds to come."""
    if not run.scheme.array.moves:
        return
    was, new = ((plan.model_extra or {}).get("radio", {}) for plan in (before, now))
    own = run.current.joint.scheme == run.scheme.name
    stays = own and run.scenario.planning.movement == "once"
    for name, apart in PLACES.items():
        if name in was and (stays or name != "positions"):  # not told by older versions
            yield f"radio.{name}", was[name], new[name], apart


def _same(was: Any, now: Any, apart: float) -> bool:
    """Whether two values are equal, numbers but for rounding."""
    if isinstance(was, dict | str) or was is None or now is None:
        return bool(was == now)
    one, other = np.array(was, np.float64), np.array(now, np.float64)
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-9, atol=apart)


def _movement(plan: documents.PlanDocument) -> str | None:
    """Return the movement policy that a plan has chosen; None: none."""
    chosen = (plan.model_extra or {}).get("movement")
    return None if chosen is None else str(chosen["policy"])


def _sent(plan: documents.PlanDocument) -> tuple[object, ...]:
    """Return what of an update a plan has chosen to send, and in which coding."""
    more = plan.model_extra or {}
    chosen = more.get("payload") or {}
    return more.get("coding"), chosen.get("payload"), chosen.get("payload_size")
