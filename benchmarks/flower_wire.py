"""All bytes between the machines of a federation, beside the bodies of its messages.

python benchmarks/flower_wire.py      into benchmarks/results/flower-wire.json and docs/engines.md

Four machines are emulated by network namespaces (Linux; no rights are needed where a user may make
namespaces): a server with SuperLink and run, and three nodes, each with an address of its own on a
bridge.  Bytes are those that the kernel counts at the nodes' interfaces: Ethernet, IP, TCP, TLS,
Flower's own requests and all.  The same rounds are run with updates in the open and with masked
sums, and what arrives is held against the engine of one process.  Where namespaces are not
permitted the script says so and ends with 77.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import environments
from airtune.engines import LocalEngine
from airtune.engines.flower import certificates
from airtune.engines.flower.engine import FlowerEngine
from airtune.engines.flower.keeper import Kept
from airtune.engines.flower.programs import environment, program
from airtune.learning.learner import prepare
from airtune.radio.held import decode
from airtune.radio.scales import normalise_updates
from airtune.scenario import Scenario
from resumable import machine, write

RESULTS = Path(__file__).parent / "results" / "flower-wire.json"
PAGE = Path(__file__).parents[1] / "docs" / "engines.md"
NODES, PORT = 3, 9092
SERVER = "10.77.0.1"
INSIDE = "AIRTUNE_WIRE_INSIDE"
NOT_PERMITTED = 77


def inside() -> None:
    """Begin anew in namespaces of our own, or end where that is not permitted."""
    if os.environ.get(INSIDE):
        return
    ways = (["unshare", "--user", "--map-root-user"], ["unshare"])
    for way in ways:
        line = [*way, "--net", "--mount"]
        probe = "mount -t tmpfs none /run && mkdir /run/netns && ip netns add probe"
        bridge = "ip link add bridge0 type bridge && ip link add cable0 type veth peer name cable1"
        if _runs([*line, "sh", "-c", f"{probe} && {bridge}"]):
            os.environ[INSIDE] = "1"
            os.execvp(line[0], [*line, sys.executable, *sys.argv])
    print("network namespaces are not permitted on this machine", file=sys.stderr)
    sys.exit(NOT_PERMITTED)


def _runs(line: list[str]) -> bool:
    try:
        return subprocess.run(line, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def shell(line: str) -> None:
    """Run a command of ours; what it prints is shown if it fails."""
    subprocess.run(line.split(), check=True)


def wire() -> None:
    """Lay the network: a bridge at the server, and a cable to each node."""
    shell("mount -t tmpfs none /run")  # names of namespaces are kept there, in our own view of it
    shell("ip link set lo up")
    shell("ip link add bridge0 type bridge")
    shell(f"ip addr add {SERVER}/24 dev bridge0")
    shell("ip link set bridge0 up")
    for number in range(NODES):
        shell(f"ip netns add node{number}")
        shell(f"ip link add cable{number} type veth peer name eth0 netns node{number}")
        shell(f"ip link set cable{number} master bridge0 up")
        inner = f"ip netns exec node{number} ip"
        shell(f"{inner} link set lo up")
        shell(f"{inner} addr add 10.77.0.{number + 11}/24 dev eth0")
        shell(f"{inner} link set eth0 up")


def counted() -> dict[str, int]:
    """Return the bytes to and from all nodes that the kernel has counted."""
    totals = {"to_nodes": 0, "from_nodes": 0}
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip().startswith("cable"):
            fields = numbers.split()
            totals["from_nodes"] += int(fields[0])
            totals["to_nodes"] += int(fields[8])
    return totals


def since(before: dict[str, int]) -> dict[str, int]:
    """Return how many bytes have passed since a count."""
    return {name: count - before[name] for name, count in counted().items()}


def scenario_of(cache: str, folder: Path, *, secure: bool, rank: int) -> Scenario:
    """Return the settings: a small model with random weights, six clients at three nodes."""
    engine = {"name": "flower", "address": f"{SERVER}:{PORT}", "workers": NODES, "secure": secure}
    return Scenario.model_validate(
        {
            "name": "wire",
            "threads": 1,
            "schemes": ["ideal"],
            "cache": cache,
            "clients": {"count": 2 * NODES},
            "model": {"lora": {"rank": rank}},
            "pretraining": {"steps": 0},
            "data": {"partition": "iid", "max_records": 240},
            "evaluation": {"records": 20, "batch_size": 5, "answers": 0},
            "training": {"batch_size_max": 2},
            "engine": {**engine, "certificate": str(folder / "ca.pem")},
        }
    )


class Hosts:
    """A SuperLink at the server, and a node on each of the other machines."""

    def __init__(self, folder: Path, cache: str) -> None:
        self.folder, self.settings = folder, environment(folder / "flwr")
        certificates.write_certificates(folder, [SERVER])
        line = [program("flower-superlink"), "--host", SERVER, "--port", str(PORT)]
        line += ["--ssl-ca-certfile", str(folder / "ca.pem")]
        line += ["--ssl-certfile", str(folder / "server.pem")]
        line += ["--ssl-keyfile", str(folder / "server.key"), "--enable-supernode-auth"]
        line += ["--disable-runtime-dependency-installation"]
        self.kept = [Kept(line, folder / "superlink.log", self.settings)]
        (folder / "flwr").mkdir()
        (folder / "flwr" / "config.toml").write_text(
            f'[superlink.wire]\naddress = "{SERVER}:{PORT}"\n'
            f'root-certificates = "{folder / "ca.pem"}"\n'
        )
        for number in range(NODES):
            key = folder / f"node-{number}.key"
            self._register(certificates.write_node_key(key))
            line = ["ip", "netns", "exec", f"node{number}", sys.executable, "-m", "airtune.cli"]
            line += ["node", "--address", f"{SERVER}:{PORT}", "--key", str(key)]
            line += ["--certificate", str(folder / "ca.pem"), "--cache", cache]
            line += ["--clients", f"{2 * number},{2 * number + 1}"]
            self.kept.append(Kept(line, folder / f"node-{number}.log", dict(os.environ)))

    def _register(self, public: Path) -> None:
        line = [program("flwr"), "supernode", "register", str(public), "wire", "--format", "json"]
        for _ in range(60):
            done = subprocess.run(line, env=self.settings, capture_output=True, text=True)
            if '"success": true' in done.stdout:
                return
            time.sleep(1.0)
        raise RuntimeError(f"the SuperLink does not take a key: {done.stdout}{done.stderr}")

    def close(self) -> None:
        """End all of them."""
        for process in reversed(self.kept):
            process.close()


def summed(done: Any, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean of updates that stay with the nodes, by one sum."""
    held = done.held
    common = normalise_updates(held.scales(held.sizes), weights, "block")
    symbols = held.summed(common, common.effective_weights.astype(np.complex128))
    return decode(symbols, common)


def rounds(scenario: Scenario, count: int, idle_s: float) -> dict[str, Any]:
    """Run rounds with nodes and here, and return what has passed and how far they are apart."""
    local, engine = LocalEngine(prepare), FlowerEngine(prepare)
    local.start(scenario, 1)
    clients = np.arange(scenario.clients.count)
    sizes, weights = np.full(len(clients), 2), np.full(len(clients), 1 / len(clients))
    found: dict[str, Any] = {"rounds": []}
    try:
        before = counted()
        engine.start(scenario, 1)
        found["start_bytes"] = since(before)
        adapter = engine.initial_adapter()
        found["entries"] = len(adapter)
        began, before = time.monotonic(), counted()
        time.sleep(idle_s)
        passed = time.monotonic() - began
        found["idle_bytes_per_s"] = {name: n / passed for name, n in since(before).items()}
        for index in range(1, count + 1):
            began, before = time.monotonic(), counted()
            done = engine.updates(adapter, clients, sizes, 1, index)
            secure = done.held is not None
            mean = summed(done, weights) if secure else weights @ done.updates.astype(np.float64)
            seconds, passing = time.monotonic() - began, since(before)
            exact = local.updates(adapter, clients, sizes, 1, index)
            wanted = weights @ exact.updates.astype(np.float64)
            bodies = engine.traffic[-1]
            found["rounds"].append(
                {
                    "seconds": seconds,
                    "loss": done.loss,
                    "local_loss": exact.loss,
                    "off": float(np.linalg.norm(mean - wanted) / np.linalg.norm(wanted)),
                    "missing": list(done.missing),
                    "wire": passing,
                    "bodies": {"to_nodes": bodies.sent, "from_nodes": bodies.received},
                }
            )
            adapter = adapter - np.float32(0.1) * wanted.astype(np.float32)
    finally:
        engine.close()
    return found


def table(document: dict[str, Any]) -> str:
    """Return the table of the page."""
    lines = [
        f"{NODES} nodes with two clients each, an adapter of {document['entries']:,} entries "
        f"({4 * document['entries']:,} bytes), means of {document['settings']['rounds']} rounds.",
        "",
        "| bytes of a round | to nodes: bodies | on the wire | from nodes: bodies | on the wire |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, kind in document["kinds"].items():
        means = [
            round(float(np.mean([one[what][way] for one in kind["rounds"]])))
            for way in ("to_nodes", "from_nodes")
            for what in ("bodies", "wire")
        ]
        lines.append(f"| {name} | {' | '.join(f'{mean:,}' for mean in means)} |")
    idle = next(iter(document["kinds"].values()))["idle_bytes_per_s"]
    lines += [
        "",
        f"Between rounds, {idle['to_nodes'] / 1000:.1f} kB/s go to the nodes and "
        f"{idle['from_nodes'] / 1000:.1f} kB/s come from them. "
        f"Measured on {environments.described([document['machine']])}.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--idle-s", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    inside()
    wire()
    settings = {"rounds": given.rounds, "rank": given.rank, "nodes": NODES, "flwr": version("flwr")}
    document: dict[str, Any] = {"settings": settings, "machine": machine(), "kinds": {}}
    with tempfile.TemporaryDirectory(prefix="wire-") as name:
        folder, cache = Path(name), str(Path(name) / "cache")
        hosts = Hosts(folder, cache)
        try:
            for kind, secure in (("in the open", False), ("secure", True)):
                scenario = scenario_of(cache, folder, secure=secure, rank=given.rank)
                document["kinds"][kind] = rounds(scenario, given.rounds, given.idle_s)
                document["entries"] = document["kinds"][kind]["entries"]
                print(json.dumps(document["kinds"][kind]), flush=True)
        finally:
            hosts.close()
    write(given.out, document)
    print(table(document))
    if given.out == RESULTS:
        page = PAGE.read_text(encoding="utf-8")
        marks = r"(<!-- wire -->\n).*(<!-- end of wire -->)"
        new = re.sub(marks, lambda m: f"{m[1]}\n{table(document)}\n\n{m[2]}", page, flags=re.S)
        PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
