"""Each tracker with its own library, where that is installed: written, begun anew, read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb", "trackio": "trackio"}

WRITE = """
import socket, sys
from pathlib import Path
from airtune.registry import TRACKERS
from airtune.track.base import TrackedCell

def local(address):
    return isinstance(address, (str, bytes)) or address[0] in ("127.0.0.1", "::1", "localhost")

tried = []  # a library may swallow what is raised here
connect, look_up = socket.socket.connect, socket.getaddrinfo
def refuse(self, address):
    if not local(address):
        tried.append(address)
        raise OSError(f"network use: {address}")
    return connect(self, address)
def refuse_name(host, *arguments, **options):
    if host is not None and not local((host,)):
        tried.append(host)
        raise OSError(f"network use: {host}")
    return look_up(host, *arguments, **options)
socket.socket.connect, socket.getaddrinfo = refuse, refuse_name

name, folder = sys.argv[1], Path(sys.argv[2])
TRACKERS[name].check()
folder.mkdir(parents=True)
tracker = TRACKERS[name](folder)
known = {"clients.count": 3, "planning.overlap": True, "data.label": "null"}
cells = [TrackedCell("two-cells", "run", s, 0, known) for s in ("movable", "fixed")]
tracker.begin(cells[0])
tracker.log(0, {"loss": 2.0})
tracker.end(None)
for cell in cells:
    tracker.begin(cell)
    for index in range(3):
        tracker.log(index, {"loss": 2.0 - index / 2, "round_energy_j/uplink": 0.25 * index})
    tracker.end({"final/final_loss": 1.0})
for path in folder.rglob("*"):
    assert not path.is_symlink() or path.resolve().is_relative_to(folder.resolve()), path
assert not tried, tried
"""

SENDING = {
    "HF_TOKEN": "hf_" + "a" * 34,
    "TRACKIO_BUCKET_ID": "me/bucket",
    "TRACKIO_DATASET_ID": "me/data",
    "SPACE_REPO_NAME": "me/space",
}
"""What makes Trackio use the network."""

READ = {
    "tensorboard": """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for scheme in ("movable", "fixed"):
    place = folder / scheme / "seed-0"
    assert len(list(place.iterdir())) == 1
    events = EventAccumulator(str(place)); events.Reload()
    found[scheme] = {tag: [[e.step, e.value] for e in events.Scalars(tag)]
                     for tag in events.Tags()["scalars"]}
""",
    "mlflow": """
from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
(experiment,) = [e for e in client.search_experiments() if e.name == "two-cells"]
found = {}
for run in client.search_runs([experiment.experiment_id]):
    scheme = run.data.params["scheme"]
    assert scheme not in found and run.data.params["clients.count"] == "3"
    assert run.info.status == "FINISHED"
    found[scheme] = {name: [[m.step, m.value] for m in
                            client.get_metric_history(run.info.run_id, name)]
                     for name in run.data.metrics}
""",
    "wandb": """
import struct
from wandb.proto import wandb_internal_pb2

def records(data):  # LevelDB's log format after a head of 7 bytes: blocks of 32 KiB
    at, whole = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a full one, or the last piece
            yield whole
            whole = b""

found = {}
for place in (folder / "wandb").glob("offline-run-*"):
    scheme = place.name.split("-")[-3]
    assert scheme not in found
    found[scheme] = {}
    for data in records(next(place.glob("*.wandb")).read_bytes()):
        record = wandb_internal_pb2.Record(); record.ParseFromString(data)
        items = {("/".join(i.nested_key) or i.key): json.loads(i.value_json)
                 for i in record.history.item}
        for name in ("loss", "round_energy_j/uplink"):
            if name in items:
                found[scheme].setdefault(name, []).append([items["_step"], items[name]])
        for i in record.summary.update:
            name = "/".join(i.nested_key) or i.key
            if name.startswith("final/"):
                found[scheme][name] = [[2, json.loads(i.value_json)]]
""",
    "trackio": """
import os
os.environ["TRACKIO_DIR"] = str(folder)
from trackio.sqlite_storage import SQLiteStorage
found = {}
for run in SQLiteStorage.get_runs("two-cells"):
    scheme = run.split("/")[0]
    found[scheme] = {}
    for line in SQLiteStorage.get_logs("two-cells", run):
        for name, value in line.items():
            if name not in ("timestamp", "step"):
                found[scheme].setdefault(name, []).append([line["step"], value])
""",
}


def python(code: str, *arguments: object, home: Path) -> str:
    environment = {**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1", **SENDING}
    environment.pop("WANDB_MODE", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARY)
def test_what_is_told_is_what_the_library_reads(name: str, tmp_path: Path) -> None:
    pytest.importorskip(LIBRARY[name])
    home, folder = tmp_path / "home", tmp_path / "track" / name
    home.mkdir()
    assert python(WRITE, name, folder, home=home) == "", "stdout is for the results"
    head = "import sys, json; from pathlib import Path; folder = Path(sys.argv[1])\n"
    tail = "\nprint('FOUND' + json.dumps(found))"
    out = python(head + READ[name] + tail, folder, home=home)
    found = json.loads(out.rpartition("FOUND")[2])
    assert set(found) == {"movable", "fixed"}
    for scalars in found.values():
        assert scalars["loss"] == [[0, 2.0], [1, 1.5], [2, 1.0]]
        assert scalars["round_energy_j/uplink"] == [[0, 0.0], [1, 0.25], [2, 0.5]]
        assert scalars["final/final_loss"] == [[2, 1.0]]
    assert not list(home.rglob("*.wandb")), "runs lie in the run folder"
