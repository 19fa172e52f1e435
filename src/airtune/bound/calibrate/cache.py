"""The three calibrations of a scenario, made once and stored in its cache folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airtune.bound import shift
from airtune.bound.calibrate import estimates
from airtune.bound.calibrate.contract import FloatArray, Measurements, Vector
from airtune.bound.calibrate.estimates import Estimate
from airtune.bound.calibrate.trajectory import Progress, finite, measure_trajectory
from airtune.learning.folders import cached
from airtune.learning.payload import PAYLOADS
from airtune.record.names import CALIBRATION
from airtune.scenario import Scenario
from airtune.scenario.learning import Training

VERSION = 2
"""Raise it whenever a calibration computes something else."""

END = "end.npy"

TUNING = ("L", "mu", "eta", "sigma_g_sq", "zeta_sq", "G_sq")
PRETRAINING = ("L0", "mu0", "eta0", "sigma0_sq", "delta_pre")
SHIFT = ("L_x", "W1")


_NOT_READ: dict[str, set[str]] = {
    "model": {"hub_id", "licence", "obtain"},
    # The fingerprint of the data holds their tokens, whatever the day.
    "data": {"date", "strict"},
    "calibration": set(),
}
"""Settings that change no calibration."""


@dataclass(frozen=True)
class Calibrator:
    """Calibrations of one learner.

    Attributes
    ----------
    scenario : Scenario
    seed : int
    measurements : Measurements
    progress : callable
    """

    scenario: Scenario
    seed: int
    measurements: Measurements
    progress: Progress

    def tuning(self) -> dict[str, Any]:
        """Return L, mu, eta, sigma_g^2, zeta^2 and G^2 of the fine-tuning loss."""
        return self._read(self._tuning_folder())

    def pretraining(self) -> dict[str, Any]:
        """Return L0, mu0, eta0, sigma0^2 and the gap of the untrained model."""
        return self._read(self._cached("pretraining", {}, self._make_pretraining))

    def shift(self) -> dict[str, Any]:
        """Return W1 and L_x, and the distances between clients.

        L_x needs the loss where fine-tuning starts and where it leads, so this calibrates the
        fine-tuning loss first.
        """
        folder = self._tuning_folder()
        end = np.load(folder / END, allow_pickle=False)
        return self._read(
            self._cached("shift", {"path": folder.name}, lambda to: self._make_shift(to, end))
        )

    def _tuning_folder(self) -> Path:
        return self._cached("tuning", {}, self._make_tuning)

    def _cached(self, name: str, more: dict[str, Any], make: Callable[[Path], None]) -> Path:
        scenario = self.scenario
        sections = {
            section: getattr(scenario, section).model_dump(mode="json", exclude=_NOT_READ[section])
            for section in ("model", "data", "calibration")
        }
        if name == "tuning":
            sections["training"] = scenario.training.model_dump(
                mode="json",
                include={"server_optimizer", "learning_rate", "beta1", "beta2"},
            )
            sections["normalise"] = scenario.aggregation.group_scales
            if PAYLOADS[scenario.aggregation.payload].freezes:
                sections["payload"] = {"name": scenario.aggregation.payload}
        else:
            sections["pretraining"] = scenario.pretraining.model_dump(mode="json")
            sections["corpus"] = _digest_of(scenario.data.pretraining_corpus)
        facts = {
            "version": VERSION,
            "kind": name,
            "seed": self.seed,
            "root": scenario.seed,
            "data_and_model": self.measurements.fingerprint(),
            **sections,
            **more,
        }
        kind = f"calibration-{name}"
        return cached(Path(scenario.cache), kind, facts, make)

    def _read(self, folder: Path) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((folder / CALIBRATION).read_text())
        return document

    def _make_tuning(self, folder: Path) -> None:
        with self.measurements.undisturbed():
            trajectory = measure_trajectory(
                self.measurements.tuning(),
                self.scenario.training,
                self.scenario.calibration,
                # the larger error of both that `auto` may choose
                normalise=self.scenario.aggregation.group_scales,
                batch_size=1,
                seed=self.seed,
                name="fine-tuning",
                progress=self.progress,
            )
        smooth = estimates.smoothness(trajectory)
        mu, floor = estimates.pl_constant(trajectory, smooth.value, "mu")
        constants = {
            "L": smooth,
            "mu": mu,
            "eta": estimates.step_size(trajectory, smooth.value),
            "sigma_g_sq": estimates.gradient_variance(trajectory),
            "zeta_sq": estimates.heterogeneity(trajectory),
            "G_sq": estimates.update_scale(trajectory),
        }
        np.save(folder / END, trajectory.end, allow_pickle=False)
        _write(folder, constants, {"floor": floor, **trajectory.to_dict()})

    def _make_pretraining(self, folder: Path) -> None:
        settings, loss = self.scenario.pretraining, self.measurements.pretraining()
        training = Training(
            server_optimizer="adam", learning_rate=settings.learning_rate, beta2=0.98
        )
        trained = self.measurements.trained_weights()
        with self.measurements.undisturbed():
            trajectory = measure_trajectory(
                loss,
                training if trained is not None else self.scenario.training,
                self.scenario.calibration,
                normalise="global",
                batch_size=-(-settings.batch_size // len(loss.weights)),
                seed=self.seed,
                name="pre-training",
                progress=self.progress,
            )
            reached = None if trained is None else _mean(loss.losses(trained))
        smooth = estimates.smoothness(trajectory)
        mu, floor = estimates.pl_constant(trajectory, smooth.value, "mu0", reached)
        start = trajectory.points[0]
        where = (
            "the loss that the stored pre-training reaches"
            if reached == floor
            else "the floor of the loss curve's decay"
        )
        gap = Estimate(
            max(start.loss - floor, 0.0),
            finite(start.loss_error),
            max(start.loss - trajectory.losses.min(), 0.0),
            start.loss,
            f"loss at the start less F* = {floor:.3g}, {where}",
        )
        constants = {
            "L0": smooth,
            "mu0": mu,
            "eta0": Estimate(1 / smooth.value, None, 1 / smooth.value, 1 / smooth.value, "1/L0"),
            "sigma0_sq": estimates.gradient_variance(trajectory, pooled=True),
            "delta_pre": gap,
        }
        _write(folder, constants, {"floor": floor, **trajectory.to_dict()})

    def _make_shift(self, folder: Path, end: Vector) -> None:
        self.progress("calibration: embeddings", 0.0)
        with self.measurements.undisturbed():
            data = self.measurements.data_sets()
            losses = []
            for number, adapter in enumerate((self.measurements.tuning().start, end)):
                self.progress("calibration: losses", (1 + number) / 3)
                losses.append(self.measurements.data_losses(adapter))
        mixture, shares = shift.mixed(data.clients, data.weights)
        method = self.scenario.calibration.transport
        distance = shift.wasserstein(data.pretraining, mixture, None, shares, method)
        null = max(shift.null_distance(part, method) for part in (data.pretraining, _mix(mixture)))
        slopes = [
            shift.steepness(data.pretraining, before, mixture, np.concatenate(after))
            for before, after in losses
        ]
        constants = {"L_x": _lipschitz(slopes), "W1": _distance(distance, null, len(mixture), data)}
        clients = shift.client_shift(data.clients, data.weights, data.pretraining)
        more = {
            "null": null,
            "sliced": shift.sliced(data.pretraining, mixture, 200, self.seed),
            "clients": {name: x.tolist() for name, x in vars(clients).items()},
        }
        _write(folder, constants, more)


def _mix(samples: FloatArray) -> FloatArray:
    """Order samples that come client by client so that either half has all clients."""
    return np.concatenate([samples[::2], samples[1::2]])


def _lipschitz(slopes: list[FloatArray]) -> Estimate:
    tops = [float(s.max()) for s in slopes]
    halves = [float(s[i::2, j::2].max()) for s in slopes for i in (0, 1) for j in (0, 1)]
    inner = max(float(np.quantile(s, 0.99)) for s in slopes)
    return Estimate(
        max(tops),
        None,
        min(halves),
        max(tops),
        f"largest |l(x) - l(y)| / |x - y| of {slopes[0].size} pairs, one of each data, at the "
        f"start ({tops[0]:.3g}) and the end of the trajectory ({tops[1]:.3g}); 99 % of them are "
        f"below {inner:.3g}; range over quarters of the pairs",
    )


def _distance(result: shift.Distance, null: float, samples: int, data: Any) -> Estimate:
    return Estimate(
        result.value,
        result.error,
        max(result.value - null, 0.0),
        result.value,
        f"{result.method} optimal transport of {len(data.pretraining)} and {samples} samples in "
        f"{data.pretraining.shape[1]} dimensions; two halves of one data set are {null:.3g} apart",
    )


def _mean(losses: list[FloatArray]) -> float:
    return float(np.mean([x.mean() for x in losses]))


def _digest_of(path: str | None) -> str | None:
    if path is None or not Path(path).is_file():
        return path
    import hashlib

    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _write(folder: Path, constants: dict[str, Estimate], more: dict[str, Any]) -> None:
    document = {"constants": {name: x.to_dict() for name, x in constants.items()}, **more}
    (folder / CALIBRATION).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
