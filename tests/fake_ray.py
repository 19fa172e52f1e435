"""A stand-in for Ray in this process: its workers are objects, and its processors are counted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import pytest

from airtune.engines import cluster


class Reference:
    """What Ray's store holds."""

    def __init__(self, value: Any) -> None:
        self.value = value


class FakeRay(ModuleType):
    """A Ray of so many processors; a worker for which none is free fails, where Ray's waits."""

    def __init__(self, cpus: int) -> None:
        super().__init__("ray")
        self.cpus, self.used, self.most = cpus, 0, 0
        self.exceptions = ModuleType("ray.exceptions")
        for name in ("ActorUnavailableError", "RayError", "RayTaskError"):
            setattr(self.exceptions, name, type(name, (Exception,), {}))

    def put(self, value: Any) -> Reference:
        return Reference(value)

    def get(self, reference: Any) -> Any:
        if isinstance(reference, list):
            return [self.get(one) for one in reference]
        return reference.value

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(self.cpus)}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": self.cluster_resources()}]

    def remote(self, **options: Any) -> Callable[[type], Any]:
        def of(kind: type) -> Any:
            return _Methods(lambda *given: _Actor(self, options["num_cpus"], kind(*given)))

        return of

    def kill(self, actor: _Actor) -> None:
        self.used -= actor.cpus


class _Methods:
    def __init__(self, call: Callable[..., Any]) -> None:
        self.remote = call


class _Actor:
    def __init__(self, ray: FakeRay, cpus: int, worker: object) -> None:
        self.cpus, self._worker = cpus, worker
        ray.used += cpus
        ray.most = max(ray.most, ray.used)
        assert ray.used <= ray.cpus, "would wait for ever: no processor is free for a worker"

    def __getattr__(self, name: str) -> _Methods:
        method = getattr(self._worker, name)

        def call(*given: Any) -> Reference:
            return Reference(method(*(x.value if isinstance(x, Reference) else x for x in given)))

        return _Methods(call)


def put_in_place(monkeypatch: pytest.MonkeyPatch, cpus: int) -> FakeRay:
    """Put a Ray of so many processors in the place of the real one, installed or not."""
    ray = FakeRay(cpus)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.exceptions", ray.exceptions)
    monkeypatch.setattr(cluster, "check_installed", lambda *given: None)
    monkeypatch.setattr(cluster, "session", lambda scenario: nullcontext())
    return ray
