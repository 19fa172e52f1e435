"""``airtune push`` and ``export``: the tuned model of a run, to the hub or into a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from airtune import record
from airtune.commands.tuned import finished_cell, scenario_of
from airtune.errors import InputError, as_typed, spoken
from airtune.record import Cell, RunFolder
from airtune.record.whole import is_full, not_written
from airtune.scenario import Scenario

if TYPE_CHECKING:
    from airtune.rounds.card import Subject

FAILED = 1
WEIGHTS = ("adapter_config.json", "adapter_model.safetensors")
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    *("special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt"),
    *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
)
SHARED = (*WEIGHTS, *TOKENIZER)
"""Files of an adapter folder that are passed on, beside the card that is written anew."""
UNKNOWN_LICENCE = (
    "the licence of the base model is not known: name it with --licence (as apache-2.0)"
)
NOT_ON_HUB = (
    "the base model {base} is not on the hub, so that others cannot load the adapter by itself: "
    "add --merged for the whole model{hint}"
)


@dataclass(frozen=True)
class Choice:
    """What of a run is shared, and what is said of it.

    Attributes
    ----------
    scheme : str or None
    seed : int
        Number of the repetition.
    merged : bool
        The whole model, with the adapter in a folder of it.
    licence : str or None
        Of the base model; `model.licence` by default.
    base_model : str or None
        Its id on the hub; `model.hub_id`, or what the run found, by default.
    """

    scheme: str | None = None
    seed: int = 0
    merged: bool = False
    licence: str | None = None
    base_model: str | None = None


def export(run_dir: Path, out: Path, choice: Choice) -> None:
    """Write the tuned model of a run into a folder that can be passed on.

    Parameters
    ----------
    run_dir : Path
        Run folder.
    out : Path
        New or empty folder.
    choice : Choice

    Raises
    ------
    InputError
        The run has no such model, its base cannot be opened, or `out` holds something.
    FailedError
        The disk is full.
    """
    run = record.open_folder(run_dir.absolute())
    cell = finished_cell(run, choice.scheme, choice.seed)
    out = out.absolute()
    try:
        if out.exists() and any(out.iterdir()):
            raise InputError(f"--out {out}: must be a new or an empty folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-")
    except OSError as error:
        if is_full(error):
            raise not_written(out, error) from None
        raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None
    with folder as work:
        try:
            notes = stage(run, cell, Path(work) / "model", choice, place="PATH_OF_THIS_FOLDER")
            (Path(work) / "model").replace(out)
        except Exception as error:  # of a library, or with the name of what was copied
            if is_full(error):
                number = getattr(error, "errno", None) or errno.ENOSPC
                raise not_written(out, OSError(number, os.strerror(number))) from None
            raise
    _say(notes)
    print(f"{cell.scheme}, seed {cell.seed}: {as_typed(out)}")


def push(
    run_dir: Path, repository: str, choice: Choice, *, private: bool = False, dry_run: bool = False
) -> None:
    """Upload the tuned model of a run to a model repository of the Hugging Face hub.

    The user is logged in by ``hf auth login`` or the variable ``HF_TOKEN``.

    Parameters
    ----------
    run_dir : Path
        Run folder.
    repository : str
        ``owner/name``, or ``name`` for one of the user's own; made where there is none.
    choice : Choice
    private : bool
        Whether a new repository is private.
    dry_run : bool
        Print what would be uploaded, and use no network.

    Raises
    ------
    InputError
        The run has no such model, the repository's name cannot be one, or nobody is logged in.
    typer.Exit
        The hub cannot be reached or refuses; the reason has been printed.
    """
    # Before the first import of the library, which reads it then.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    _check_name(repository)
    run = record.open_folder(run_dir.absolute())
    cell = finished_cell(run, choice.scheme, choice.seed)
    if not dry_run:
        api, user = _log_in()
        if "/" not in repository:
            repository = f"{user}/{repository}"
    with tempfile.TemporaryDirectory(prefix="airtune-push-") as work:
        folder = Path(work) / "model"
        notes = stage(run, cell, folder, choice, place=repository)
        _say(notes)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if dry_run:
            for path in files:
                print(f"{path.stat().st_size:>12,}  {path.relative_to(folder).as_posix()}")
            seen = "private" if private else "public unless your account's default is private"
            print(
                f"{len(files)} files for {repository} (a new repository: {seen}); "
                "nothing was uploaded (--dry-run)"
            )
            return
        with _hub_errors(repository):
            api.create_repo(repository, private=private or None, exist_ok=True)
            _say_who_sees(api, repository, private)
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                commit_message=f"{run.scenario.name}, {cell.scheme}, seed {cell.seed}",
            )
    print(f"{cell.scheme}, seed {cell.seed}: {commit.repo_url}")


def _say_who_sees(api: Any, repository: str, private: bool) -> None:
    """Say before the upload whether a repository is public or private, as the hub has it."""
    seen = "private" if api.model_info(repository).private else "public"
    kept = (
        " (it was there before: --private is for new ones)" if private and seen == "public" else ""
    )
    print(f"airtune: {repository} is {seen}{kept}; uploading", file=sys.stderr)


def stage(run: RunFolder, cell: Cell, folder: Path, choice: Choice, place: str) -> list[str]:
    """Write what is shared into a new folder, and return what its owner should know.

    Parameters
    ----------
    run : RunFolder
    cell : Cell
        Finished.
    folder : Path
        Absolute path.
    choice : Choice
    place : str
        Where the reader of the model card finds the folder.
    """
    # Model and cache may be named relative to where the run was begun.
    with contextlib.chdir(run.directory):
        scenario, about = _about(scenario_of(run, cell), cell, choice, place)
        adapter = folder / "adapter" if choice.merged else folder
        adapter.mkdir(parents=True)
        made_for = _fill(scenario, about, adapter)
        if choice.merged:
            made_for = _add_merged(scenario, about, folder) or made_for
    notes = [] if scenario.model.licence else [UNKNOWN_LICENCE]
    if not about.on_hub and not choice.merged:
        small = scenario.model.source == "small"
        hint = "" if small else ", or name its id with --base-model"
        notes.append(NOT_ON_HUB.format(base=about.base, hint=hint))
    if made_for:
        notes.append(other_base(made_for))
    kept = _kept_here(cell.adapter_folder)
    if kept:
        notes.append(f"not passed on from the adapter's folder: {', '.join(kept)}")
    return notes


def _kept_here(adapter: Path) -> list[str]:
    """Return what an adapter folder holds besides the files of an adapter and a tokenizer."""
    from airtune.rounds import card

    return sorted(p.name for p in adapter.iterdir() if p.name not in (*SHARED, card.CARD))


def other_base(made_for: str) -> str:
    """Return what to say of an adapter whose base was made anew with other libraries."""
    return (
        f"the adapter was made for the base {made_for}; this one was made by other versions of the "
        "libraries or of the file, and answers may differ"
    )


def _about(scenario: Scenario, cell: Cell, choice: Choice, place: str) -> tuple[Scenario, Subject]:
    """Return the settings with what the options say of the base model, and what the card is of."""
    from airtune.learning.origin import base_name, hub_id, without_place
    from airtune.rounds import card

    if choice.licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", choice.licence):
        raise InputError(
            f"--licence {choice.licence[:200]!r}: must be an id of the hub's, as apache-2.0, mit, "
            "llama3.2 or other"
        )
    changes = {"licence": choice.licence, "hub_id": choice.base_model}
    if choice.base_model is not None:
        _check_name(choice.base_model, "--base-model", whole=True)
    model = scenario.model.model_copy(update={k: v for k, v in changes.items() if v is not None})
    scenario = scenario.model_copy(update={"model": model})
    found = model.hub_id
    if found is None:
        said = card.base_on_hub(cell.adapter_folder)
        found = hub_id(model) if said is None else said or None
    named = base_name(cell.adapter_folder) or without_place(model.source)
    base = found or Path(named).name
    return scenario, card.Subject(scenario, cell, base, found is not None, place, choice.merged)


def _fill(scenario: Scenario, about: Subject, folder: Path) -> str:
    """Copy the adapter, name its base, and see to the tokenizer and the card."""
    from airtune.learning.origin import rename_base, save_tokenizer
    from airtune.rounds import card

    own, made_for = about.cell.adapter_folder, ""
    for path in sorted(own.iterdir()):
        if path.is_file() and path.name in SHARED:
            shutil.copyfile(path, folder / path.name)
    rename_base(folder, about.base)
    if not (folder / "tokenizer_config.json").exists():  # of an older version of airtune
        from airtune.learning.tuned import open_tuned

        tuned = open_tuned(scenario, own, _progress)
        save_tokenizer(tuned.tokenizer, folder)
        made_for = tuned.made_for
    card.write(card.adapter_of(about), folder)
    return made_for


def _add_merged(scenario: Scenario, about: Subject, folder: Path) -> str:
    from airtune.learning.tuned import save_merged
    from airtune.rounds import card

    made_for = save_merged(scenario, about.cell.adapter_folder, folder, _progress)
    card.write(about, folder)
    return made_for


def _progress(text: str, fraction: float) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text} {fraction:.0%}" * (fraction < 1), end="\r", file=sys.stderr)


def _say(notes: list[str]) -> None:
    for note in notes:
        print(spoken(f"note: {note}"), file=sys.stderr)


def _check_name(name: str, option: str = "REPO", *, whole: bool = False) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
        if whole and "/" not in name:
            raise HFValidationError("no owner")
    except HFValidationError:
        allowed = "owner/name" if whole else "owner/name or name"
        raise InputError(
            f"{option} {name[:200]!r}: must be {allowed}, of letters, digits, '-', '_' and '.', "
            "at most 96 in all"
        ) from None


def _log_in() -> tuple[Any, str]:
    """Return the interface of the hub and the name of the user.

    Raises
    ------
    InputError
        Nobody is logged in, or the hub does not know the token.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi(library_name="airtune")
    log_in = "log in with `hf auth login`, or set HF_TOKEN, to a token that may write"
    try:
        with _hub_errors("the hub", refused=False):
            return api, str(api.whoami()["name"])
    except LocalTokenNotFoundError:
        raise InputError(f"push: not logged in to {_endpoint()}; {log_in}") from None
    except HfHubHTTPError as error:
        if _status(error) in (401, 403):
            raise InputError(f"push: {_endpoint()} does not accept the token; {log_in}") from None
        _fail(f"{_endpoint()} refuses: {_reason(error)}")


@contextlib.contextmanager
def _hub_errors(repository: str, *, refused: bool = True) -> Iterator[None]:
    """Turn the errors of the hub and of the network into one sentence and exit code 1."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HTTPError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        yield
    except OfflineModeIsEnabled:
        raise InputError("push: HF_HUB_OFFLINE is set; unset it to use the network") from None
    except LocalTokenNotFoundError:
        raise
    except HfHubHTTPError as error:
        if not refused:
            raise
        may = " (the token may lack the right to write)" if _status(error) in (401, 403) else ""
        _fail(f"{repository} was refused{may}: {_reason(error)}")
    except (HTTPError, OSError) as error:
        _fail(f"{_endpoint()} cannot be reached: {_first_line(error)}")
    except ValueError as error:  # of the metadata of the card, or an answer that is no JSON
        _fail(f"{repository} was refused: {' '.join(str(error).split())[:300]}")


def _fail(message: str) -> NoReturn:
    print(spoken(f"push: {message}"), file=sys.stderr)
    raise typer.Exit(FAILED) from None


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _status(error: Any) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _reason(error: Any) -> str:
    return str(getattr(error, "server_message", None) or _first_line(error))[:300]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
