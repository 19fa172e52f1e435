"""The pages of results as files: what stands on which, and the same bytes every time."""

from __future__ import annotations

from airtune.scenario import Scenario
from studies import document, sections
from studies.results import Results
from studies.runner import Runner


def test_the_document_is_the_same_every_time(
    small_scenario, quadratic, tmp_path, monkeypatch
) -> None:
    def small(name: str, overrides: object) -> Scenario:
        return small_scenario.model_copy(update={"name": name})

    monkeypatch.setattr(sections, "load_scenario", small)
    options = sections.Options(Results(tmp_path / "cells"), tmp_path, reduced=True)
    runner = Runner(options.results, tmp_path / "runs")
    for _ in range(3):  # step sizes first, then what waits for them
        for name in ("step-size", "claims", "perplexity", "electrical", "policies"):
            wanted = ("ideal", "movable", "fixed")[: 3 if name == "electrical" else 2]
            for cell in list(sections.cells(options, [name])):
                if cell.scheme in wanted and options.results.find(cell) is None:
                    runner.run(cell)
    written = []
    for name in ("a", "b"):
        document.write(options, tmp_path / name)
        pages = [tmp_path / name / f"{page}.md" for page in ("results", "results-radiated")]
        written.append([page.read_text() for page in pages])
    assert written[0] == written[1]
    first, archive = written[0]
    assert "### cell-edge, shared plan" in archive
    assert "| Movable | 1/1 |" in archive
    assert "### paper-v1, electrical" in first
    assert "| [paper-v1](#paper-v1-electrical) | Fixed |" in first
    assert (tmp_path / "a" / "figures" / "saved.png").is_file()
    assert "step-size: 6 of 12 cells; missing in step-size/paper-v1" in archive
