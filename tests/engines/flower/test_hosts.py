"""A server and three nodes as machines of their own: network namespaces on a bridge."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("flwr") is None, reason="Flower is not installed"),
]

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "flower_wire.py"
NOT_PERMITTED = 77


def test_nodes_on_other_machines_give_what_one_process_gives_in_the_open_and_by_sums(
    tmp_path,
) -> None:
    out = tmp_path / "wire.json"
    line = [sys.executable, str(SCRIPT), "--rounds", "2", "--rank", "8", "--idle-s", "5"]
    done = subprocess.run([*line, "--out", str(out)], capture_output=True, text=True)
    if done.returncode == NOT_PERMITTED:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    entries, kinds = document["entries"], document["kinds"]
    for kind in kinds.values():
        for one in kind["rounds"]:
            assert one["loss"] == pytest.approx(one["local_loss"], abs=1e-6)
            assert one["missing"] == []
            for way, body in one["bodies"].items():  # all that is sent has crossed the wire
                assert body < one["wire"][way] < 1.5 * body + 100_000
    assert [one["off"] for one in kinds["in the open"]["rounds"]] == [0.0, 0.0]
    assert all(one["off"] < 1e-5 for one in kinds["secure"]["rounds"])
    # Three nodes hear the adapter; six updates come back, or three shares of their sum.
    for name, sent in (("in the open", 6), ("secure", 3)):
        for one in kinds[name]["rounds"]:
            assert 3 * 4 * entries <= one["bodies"]["to_nodes"] < 1.02 * 3 * 4 * entries + 30_000
            received = one["bodies"]["from_nodes"]
            assert received < 1.01 * sent * 4 * entries + 20_000
            assert received > 0.4 * sent * 4 * entries  # factors of LoRA whose gradient is 0 stay
