"""The folder of one scheme and one seed, and where everything in it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airtune.record import names


@dataclass(frozen=True)
class Cell:
    """The folder of one scheme and one seed.

    Examples
    --------
    >>> cell = Cell(Path("runs/demo/movable/seed-0"), "movable", 0)
    >>> cell.plan_file.as_posix()
    'runs/demo/movable/seed-0/plan.json'
    >>> cell.finished
    False
    """

    folder: Path
    scheme: str
    seed: int

    @property
    def finished(self) -> bool:
        """Whether the cell's last round and adapter are on disk."""
        return self.finished_file.is_file()

    @property
    def metrics_file(self) -> Path:
        """One line a round."""
        return self.folder / names.METRICS

    @property
    def plan_file(self) -> Path:
        """The plan that the cell began with."""
        return self.folder / names.PLAN

    @property
    def finished_file(self) -> Path:
        """The totals; written last."""
        return self.folder / names.FINISHED

    @property
    def placement_file(self) -> Path:
        """Antennas and paths of the last round."""
        return self.folder / names.PLACEMENT

    @property
    def samples_file(self) -> Path:
        """Answers before and after."""
        return self.folder / names.SAMPLES

    @property
    def holdings_file(self) -> Path:
        """Who holds how many records of which label."""
        return self.folder / names.HOLDINGS

    @property
    def left_out_file(self) -> Path:
        """Records of the data that are not used, and why."""
        return self.folder / names.LEFT_OUT

    @property
    def digests_file(self) -> Path:
        """Digest of each file of the cell when it was finished."""
        return self.folder / names.DIGESTS

    @property
    def adapter_folder(self) -> Path:
        """The tuned adapter in PEFT's format."""
        return self.folder / names.ADAPTER

    @property
    def checkpoint_folder(self) -> Path:
        """Enough to resume bit for bit."""
        return self.folder / names.CHECKPOINT
