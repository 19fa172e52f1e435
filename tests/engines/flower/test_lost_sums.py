"""What is booked of secure rounds whose sum is lost."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from airtune.engines.flower import frames
from airtune.engines.flower.engine import FlowerEngine
from airtune.learning.learner import prepare

from .federations import secure
from .test_sums import rounds

pytestmark = pytest.mark.skipif(
    find_spec("cryptography") is None, reason="cryptography (of the extra flower) is not installed"
)


@pytest.mark.filterwarnings("ignore:a node of the federation has not answered")
@pytest.mark.parametrize(("scheme", "reports"), [("fixed", "sequential"), ("truncated", "joint")])
def test_of_a_sum_that_is_lost_uploads_and_reports_are_booked(
    settings, here, monkeypatch, scheme, reports
) -> None:
    """Clients have reported before; those of `truncated` that are silent have not."""
    aggregation = {"truncation_db": -12.0, "scale_reports": reports}
    clients = {"count": 3, "tx_power_dbm": 5}
    scenario = secure(settings, aggregation=aggregation, clients=clients, engine={"workers": 3})
    whole = rounds(FlowerEngine(prepare), scenario, [scheme])[scheme][1]
    ask, sums = here.ask, []

    def asking(self, bodies, limit_s, nodes=None):
        answers = ask(self, bodies, limit_s, nodes)
        sums.extend(frames.unpack(body)[0]["do"] == "sum" for body in [*bodies.values()][:1])
        if sums[-1] and sum(sums) == 2:
            name, _ = answers.bodies.popitem()
            answers.lost[name] = "its process has ended"
        return answers

    monkeypatch.setattr(here, "ask", asking)
    lost = rounds(FlowerEngine(prepare), scenario, [scheme])[scheme][1]
    assert (lost["clients"], len(lost["missing"])) == ([], 1)
    assert len(whole["clients"]) == {"fixed": 3, "truncated": 2}[scheme]
    for books in ("round_latency_s", "round_radiated_j"):
        assert lost[books] == pytest.approx(whole[books])
