"""A step: one thing that people do in an incident, as a command that may be killed and run again.

Steps stand in a registry, one file each in `steps/`; other distributions add theirs by the entry
point `leaven.incident_steps`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlalchemy import make_url

from leaven.core.registry import Registry
from leaven.operate.incidents.incident import Incident
from leaven.operate.releases import Releases, State, folded
from leaven.store.store import Store

__all__ = ["STEPS", "Done", "Plan", "Scene", "Step", "typed_store"]


@dataclass(frozen=True)
class Scene:
    """Where a step is done: in which incident, by whom, with which settings, as people gave them.

    `fit` makes a run, as `leaven.api.fit`, and tells `listen` how it goes on; `clock` gives seconds
    since 1970.
    """

    store: Store
    incident: Incident
    by: str
    settings: Mapping[str, Any]
    fit: Callable[..., Any]
    clock: Callable[[], float]
    listen: Callable[[Any], None] | None = None

    @property
    def service(self) -> str:
        """The service of the incident."""
        return self.incident.service

    @property
    def mark(self) -> str:
        """What the reasons of its acts begin with, by which one finds them elsewhere."""
        return f"incident {self.incident.number}"

    @property
    def shown(self) -> str:
        """The address of the store, as commands take it."""
        return typed_store(self.store)

    def releases(self) -> Releases:
        """The releases of the service."""
        return Releases(self.store, self.service, clock=self.clock)

    def then(self) -> State:
        """The releases as they stood when the incident was opened."""
        opened = self.incident.opened
        return folded(self.service, (e for e in self.releases().history() if e.at <= opened))


@dataclass(frozen=True)
class Plan:
    """What a step would change, in sentences; `chosen` is kept before it is done, as plain values.

    `already` says why nothing is left to do, "" where something is.
    """

    says: tuple[str, ...]
    chosen: Mapping[str, Any] = field(default_factory=dict)
    already: str = ""


@dataclass(frozen=True)
class Done:
    """What a step has done, in a sentence and in plain values."""

    says: str
    result: Mapping[str, Any] = field(default_factory=dict)


class Step(ABC):
    """One step. `rank` is its place where nothing speaks for another order.

    `undoes` is the step that it takes back; `takes` are its settings with what each means, `open`
    says that it takes others besides; `mends` that the service may be well again after it.
    """

    title: ClassVar[str]
    does: ClassVar[str]
    rank: ClassVar[int]
    undoes: ClassVar[str] = ""
    takes: ClassVar[Mapping[str, str]] = {}
    open: ClassVar[bool] = False
    mends: ClassVar[bool] = False

    @abstractmethod
    def plan(self, scene: Scene) -> Plan:
        """What it would do now. Changes nothing; raises LeavenError where it cannot be done."""

    @abstractmethod
    def act(self, scene: Scene, chosen: Mapping[str, Any]) -> Done:
        """Do what was chosen, as far as it is not done yet: it may have been killed before."""


STEPS: Registry[Step] = Registry(
    "incident step", "leaven.operate.incidents.steps", group="leaven.incident_steps"
)


def typed_store(store: Store) -> str:
    """The address of a store as a command takes it, without its password."""
    if "://" not in store.address:
        return store.address
    return make_url(store.address).render_as_string(hide_password=True)
