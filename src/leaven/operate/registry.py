"""The registry: what is known of each run that may serve, kept as it was when it was registered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from leaven.core.errors import UnknownNameError
from leaven.operate.manifest import verified, write_manifest
from leaven.store.release_tables import registered
from leaven.store.store import Store

if TYPE_CHECKING:
    from leaven.evaluate.run import Run  # loads torch, which who only lists runs does without

__all__ = ["Registered", "Registry"]


@dataclass(frozen=True)
class Registered:
    """A run in the registry.

    `told` holds the data's hash and size, the origins of its labels, the recipe, the version of
    Leaven and of its packages, the commit, metrics, baseline, verdict, costs and the report.
    """

    run: str
    digest: str
    folder: Path
    at: float
    person: str
    told: dict[str, Any]

    @property
    def model(self) -> Path:
        """The folder of the model, whose files are not looked at here; see `verified`."""
        return self.folder / "model"


class Registry:
    """The runs of a store that may serve.

    Parameters
    ----------
    clock : seconds since 1970.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self.store, self._clock = store, clock

    def add(self, run: Run, *, person: str) -> Registered:
        """Register a run: its model gets a manifest, and what is known of it is kept.

        A run that is registered already, and has the same files, stays as it was.
        """
        manifest = write_manifest(run.folder / "model", str(run.story["run"]["id"]))
        with self.store.write() as connection:
            known = (registered.c.run == manifest.run) & (registered.c.digest == manifest.digest)
            there = connection.execute(select(registered).where(known)).one_or_none()
            if there is None:
                told = {
                    "run": manifest.run,
                    "digest": manifest.digest,
                    "folder": str(run.folder.resolve()),
                    "at": self._clock(),
                    "person": person,
                    "told": _told(run) | {"signed": bool(manifest.signature)},
                }
                connection.execute(insert(registered).values(**told))
        return self.get(manifest.run, manifest.digest)

    def get(self, run: str, digest: str | None = None) -> Registered:
        """A run by its id, as it was registered last; UnknownNameError for one that is not here."""
        query = select(registered).where(registered.c.run == run).order_by(registered.c.id.desc())
        if digest is not None:
            query = query.where(registered.c.digest == digest)
        with self.store.read() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
            if row is None:
                every = select(registered.c.run).distinct().order_by(registered.c.run)
                raise UnknownNameError("run", run, list(connection.execute(every).scalars()))
        return _registered(row)

    def all(self) -> list[Registered]:
        """Every run, in the order in which they came."""
        with self.store.read() as connection:
            rows = connection.execute(select(registered).order_by(registered.c.id)).all()
        return [_registered(row) for row in rows]

    def load(self, run: str, digest: str) -> Run:
        """A run that may be served, its files held against what was registered.

        Raises RunError for a model that is not what was released.
        """
        from leaven.evaluate.run import Run

        found = self.get(run, digest)
        verified(found.model, digest)
        return Run.load(found.folder)


def _registered(row: Any) -> Registered:
    return Registered(row.run, row.digest, Path(row.folder), row.at, row.person, row.told)


def _told(run: Run) -> dict[str, Any]:
    story = run.story
    kept = {name: story[name] for name in ("metrics", "baseline", "verdict", "cost", "environment")}
    data = {name: story["dataset"][name] for name in ("name", "hash", "modality", "classes")}
    counts = {name: story["dataset"][name] for name in ("records", "labelled", "unlabelled")}
    return kept | {
        "dataset": data | counts,
        "labels": _origins(run.folder),
        "recipe": story["recipe"],
        "leaven": story["run"]["leaven"],
        "command": story["run"]["command"],
        "report": str((run.folder / "report.html").resolve()),
    }


def _origins(folder: Path) -> dict[str, int]:
    """How many labels are of each origin; none known of a run that keeps no labels."""
    from leaven.evaluate.lineage import FILE
    from leaven.evaluate.tables import read_parquet

    if not (folder / FILE).is_file():
        return {}
    return dict(Counter(read_parquet(folder / FILE, ["origin"])["origin"].to_pylist()))
