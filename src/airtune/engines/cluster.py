"""Ray, started here or joined: one session for all that a study computes on it.

Ray's own serialisation carries what passes between the processes of a run; airtune neither reads
nor writes files in it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airtune.engines.extras import check_installed
from airtune.errors import FailedError, InputError, RoundWarning, clip, shown
from airtune.scenario import Scenario

RESTARTS = 3
"""Times that a process which died is replaced, its work repeated, before the run stops."""

REPLACED_S = 600.0
"""Longest time in which a process that died is replaced [s]."""

ROOM = 26
"""Bytes of the path of a folder at most in which Ray can be started, for its sockets are there.

``/ray-12345678/r`` and Ray's ``/session_DATE_TIME_PROCESS/sockets/plasma_store`` come to it, 79 on
Linux, where the path of a socket may have 107, and 77 on macOS, where it may have 103.
"""

_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
"""No reports home; a worker that has no GPU of its own sees none."""
_TOKEN = secrets.token_hex(32)
"""Whoever wants to talk to a cluster that is started here has to show it; it is never written."""


@dataclass(frozen=True)
class Share:
    """What one worker takes of a cluster, and how many there are.

    Attributes
    ----------
    workers : int
    cpus : int
        Threads of a worker.
    gpus : float
        GPUs of a worker.
    """

    workers: int
    cpus: int
    gpus: float

    @property
    def options(self) -> dict[str, Any]:
        """Options of Ray for a process that is such a worker."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


def gpus_per_worker(scenario: Scenario, gpus: float) -> float:
    """Return the GPUs of a worker that the settings ask for.

    Parameters
    ----------
    scenario : Scenario
    gpus : float
        GPUs of the cluster.

    Examples
    --------
    >>> cuda, auto = Scenario(model={"device": "cuda"}), Scenario()
    >>> gpus_per_worker(cuda, 0.0), gpus_per_worker(auto, 4.0), gpus_per_worker(auto, 0.0)
    (1.0, 1.0, 0.0)
    """
    asked, device = scenario.engine.gpus_per_worker, scenario.model.device
    if asked is not None:
        return asked
    return float(device == "cuda" or (device == "auto" and gpus > 0))


def fitting_on(cpus: float, gpus: float, each_cpus: int, each_gpus: float) -> int:
    """Return how many workers find a place on a machine.

    Parameters
    ----------
    cpus, gpus : float
        What it has.
    each_cpus : int
    each_gpus : float
        What a worker takes; less than 1 of a GPU is always of one GPU.

    Examples
    --------
    >>> fitting_on(3.0, 0.0, 2, 0.0), fitting_on(16.0, 4.0, 1, 0.3), fitting_on(8.0, 0.0, 2, 1.0)
    (1, 12, 0)
    """
    places = int(cpus // each_cpus)
    if each_gpus == 0:
        return places
    if each_gpus < 1:
        return min(places, int(gpus) * int(1 / each_gpus + 1e-9))
    return min(places, int(gpus / each_gpus + 1e-9))


def check(scenario: Scenario) -> None:
    """Refuse before any work what cannot run on workers of Ray.

    Raises
    ------
    InputError
        Ray is not installed, nobody answers at the address, or each plan would pre-train by itself.
    """
    check_installed("ray", "ray")
    if scenario.planning.pretraining == "planned":
        raise InputError(
            "planning.pretraining = 'planned': must be 'fixed' with engine.name = 'ray'; schemes "
            "of different pre-training would ask for workers of their own at the same time"
        )
    if not _runs_here():
        _check_address(scenario)


def share_of(scenario: Scenario, most: int) -> Share:
    """Return the workers that the settings ask for, of which `most` can be of use.

    Raises
    ------
    InputError
        The cluster has too few processors or GPUs.
    """
    import ray

    there = ray.cluster_resources()
    cpus, gpus = scenario.threads, gpus_per_worker(scenario, there.get("GPU", 0.0))
    alive = [node.get("Resources", {}) for node in ray.nodes() if node.get("Alive")]
    fitting = sum(fitting_on(one.get("CPU", 0.0), one.get("GPU", 0.0), cpus, gpus) for one in alive)
    asked = scenario.engine.workers
    if fitting < (asked or 1):
        setting = f"engine.workers = {asked}" if asked else "engine.name = 'ray'"
        raise InputError(
            f"{setting}: needs {(asked or 1) * cpus} processors (threads = {cpus} a worker) and "
            f"{(asked or 1) * gpus:g} GPUs; the cluster has {there.get('CPU', 0):g} and "
            f"{there.get('GPU', 0):g}"
        )
    return Share(max(1, min(asked or fitting, most)), cpus, gpus)


@contextlib.contextmanager
def session(scenario: Scenario) -> Iterator[None]:
    """Have Ray running within the block, started here or joined at `engine.address`.

    Blocks may lie in each other: the outermost one begins and ends it.  A Ray that this process
    runs already is used and left as it is.

    Raises
    ------
    InputError
        Ray is not installed, no cluster answers at the address, or there is no folder for Ray.
    FailedError
        Ray cannot be started.
    """
    check_installed("ray", "ray")
    _prepare_environment(scenario)
    end = None if _runs_here() else _begin(scenario)
    try:
        yield
    finally:
        if end is not None:
            end()


def _prepare_environment(scenario: Scenario) -> None:
    """Set what Ray reads when it is first imported: no reports home, and a token of our own.

    A Ray that has been imported before goes on as it is: it does not look again.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if "ray" in sys.modules or os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return
    if scenario.engine.address is None:
        os.environ["RAY_AUTH_MODE"] = "token"
        if not os.environ.get("RAY_AUTH_TOKEN", "").strip():
            os.environ["RAY_AUTH_TOKEN"] = _TOKEN


def _runs_here() -> bool:
    """Whether this process runs a Ray already."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _begin(scenario: Scenario) -> Callable[[], None]:
    """Start or join Ray; return what ends that."""
    import ray

    settings = scenario.engine
    _check_address(scenario)
    options: dict[str, Any] = {"address": settings.address}
    end: Callable[[], None] = ray.shutdown
    if settings.address is None:
        cpus = max(os.cpu_count() or 1, scenario.threads * (settings.workers or 1))
        folder, end = _own_folder()
        options = {"address": "local", "num_cpus": cpus, "include_dashboard": False}
        options["_temp_dir"] = str(folder / "r")  # Ray opens it to all users
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            ray.init(**options, log_to_driver=False, logging_level="error")
    except Exception as error:  # Ray raises many kinds, its own among them
        reason = clip(str(error).strip().partition("\n")[0] or type(error).__name__)
        if settings.address is None:
            atexit.unregister(end)
            raise FailedError(
                f"engine.name = 'ray': Ray cannot be started ({reason}); its logs are in {folder}"
            ) from error
        raise InputError(
            f"engine.address = {shown(settings.address)}: no cluster of Ray can be joined there "
            f"({reason})"
        ) from error
    else:
        _keep_off_stdout()
    finally:
        # Ray puts its own in the place of the command's, which saves what is done.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
    return end


def _own_folder() -> tuple[Path, Callable[[], None]]:
    """Make a folder for a Ray that only this user may open; return what ends both, too.

    In a folder that others may write to they could put sockets of theirs in the place of Ray's.
    """
    place, owner = _place(), os.getpid()
    try:
        folder = Path(tempfile.mkdtemp(prefix="ray-", dir=place))
    except OSError as error:
        raise FailedError(f"engine.name = 'ray': no folder in {place} ({clip(error)})") from error

    def end() -> None:
        import ray

        atexit.unregister(end)
        ray.shutdown()
        for _ in range(50 if os.getpid() == owner else 0):  # not in a fork
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.1)  # processes that end write their logs meanwhile

    atexit.register(end)  # called before Ray's own, which was registered at its import
    return folder, end


def _place() -> Path:
    """Return where temporary files go; ``/tmp`` where that path is too long for sockets.

    Raises
    ------
    InputError
        Neither can be used.
    """
    name, asked = "RAY_TMPDIR", os.environ.get("RAY_TMPDIR")
    if asked:
        with contextlib.suppress(OSError):
            Path(asked).mkdir(parents=True, exist_ok=True)  # as Ray does
    else:
        name, asked = "TMPDIR", tempfile.gettempdir()
    common = Path("/tmp")  # noqa: S108 - the folder in it is made for this user only
    for each in (Path(asked).absolute(), common):
        if len(os.fsencode(each)) <= ROOM and os.access(each, os.W_OK | os.X_OK):
            return each
    raise InputError(
        f"{name} = {shown(asked)}: must be a folder that can be written to, with a path of at most "
        f"{ROOM} bytes, for sockets of the engine 'ray' are made in it"
    )


def _check_address(scenario: Scenario) -> None:
    """Refuse at once an address where nobody answers: Ray tries for many minutes.

    With ``auto`` Ray takes what `RAY_ADDRESS` names, if anything.
    """
    address, setting = scenario.engine.address, "engine.address"
    if address == "auto":
        address, setting = os.environ.get("RAY_ADDRESS") or "auto", "RAY_ADDRESS"
    if address in (None, "auto"):
        return
    host, _, port = str(address).rpartition(":")
    if setting == "RAY_ADDRESS" and (not host or "/" in host or not port.isdecimal()):
        raise InputError(
            f"engine.address = 'auto': the environment has RAY_ADDRESS = {shown(address)}, which "
            "must be host:port of a cluster of Ray, auto or unset"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
            pass
    except (OSError, OverflowError, ValueError) as error:
        raise InputError(
            f"{setting} = {shown(address)}: no cluster of Ray can be joined there ({clip(error)})"
        ) from None


def _keep_off_stdout() -> None:
    """Have Ray's messages about its processes as warnings.

    It prints them on stdout, where a command prints its JSON, and has no setting for that.
    """
    from ray._private import worker

    def warn(data: dict[str, Any], *rest: Any, **more: Any) -> None:
        for line in data.get("lines", []):
            if str(line).startswith("A worker died"):
                text = "a worker of Ray died; another takes its place and repeats its work"
                warnings.warn(text, RoundWarning, stacklevel=2)

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = warn


def result_of(reference: Any, again: Callable[[], Any] | None = None) -> Any:
    """Return what a process of the cluster computed; errors are those that it raised there.

    Parameters
    ----------
    reference : ray.ObjectRef
    again : callable, optional
        Asks anew and returns another reference.  It is called while a process that has died, or
        whose machine is gone, is being replaced, for at most `REPLACED_S`.

    Raises
    ------
    InputError, FailedError
        Of the process; or processes died again and again.
    """
    import ray
    from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

    until = time.monotonic() + REPLACED_S
    while True:
        try:
            return ray.get(reference)
        except RayError as error:
            cause = cause_of(error) if isinstance(error, RayTaskError) else error
            if not isinstance(cause, RayError):
                raise (cause or error) from None
            gone = isinstance(cause, ActorUnavailableError)
            if again is None or not gone or time.monotonic() > until:
                raise died(cause) from error
        time.sleep(1.0)
        reference = again()


def cause_of(error: Any) -> Exception | None:
    """Return the error that a process of the cluster raised."""
    cause = getattr(error, "cause", None)
    while isinstance(inner := getattr(cause, "cause", None), Exception):
        cause = inner
    return cause if isinstance(cause, Exception) else None


def died(error: Exception) -> FailedError:
    """Return what stops a run whose processes die again and again."""
    reason = str(error).strip().partition("\n")[0]
    return FailedError(
        f"engine.name = 'ray': a worker died {RESTARTS + 1} times or its machine is gone "
        f"({clip(reason)}); see that it has enough memory"
    )
