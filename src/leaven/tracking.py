"""The verbs for MLflow: log, sync, fetch; and what MLflow calls to load a model of ours."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaven.evaluate.run import Run

__all__ = ["Answering", "fetch", "log", "sync"]

_RUNS, _FILE = "runs", "mlflow.db"


def log(
    run: Run | str | Path,
    *,
    uri: str | None = None,
    experiment: str | None = None,
    register: str | None = None,
    artifacts: str | None = None,
) -> dict[str, Any]:
    """Log a run: recipe, figures with intervals beside the baseline's, data, report and model.

    Parameters
    ----------
    uri : of MLflow's database or server; else that of MLFLOW_TRACKING_URI, else `mlflow.db`
        beside the run.
    experiment : named as the run's data if not given.
    register : the registered model of which it becomes a version; none if not given.
    artifacts : folder or URL for the files of a new experiment, see `Tracking`.

    Returns what it is now known by, see `Logged`. Raises LeavenError where it is refused.
    """
    from leaven.evaluate.run import Run
    from leaven.operate.tracking.client import Tracking

    opened = run if isinstance(run, Run) else Run.load(run)
    tracking = Tracking(_uri(uri, opened.folder.parent), artifacts)
    logged = tracking.log(opened, experiment or _plain(opened.story["dataset"]["name"]))
    return asdict(logged if register is None else tracking.register(logged, register))


def sync(
    service: str | None = None,
    *,
    uri: str | None = None,
    experiment: str | None = None,
    register: str | None = None,
    artifacts: str | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Let the aliases `live`, `canary` and `shadow` of a registered model follow the releases.

    Parameters
    ----------
    service : the only one of the store if not given.
    register : the registered model; named as the service if not given.
    store : a file or URL, see `Store`; by default `runs/leaven.db`.

    Returns `service`, `model`, the `decision` that was followed, and `aliases` with their versions.
    """
    from leaven.operate.registry import Registry
    from leaven.operate.releases import Releases, named_service
    from leaven.operate.tracking.client import Tracking
    from leaven.store.store import store_at

    kept = store_at(store, "Nothing was released yet")
    name = named_service(kept, service)
    state = Releases(kept, name).state()
    model = register or _plain(name)
    tracking = Tracking(_uri(uri, Path(_RUNS)), artifacts)
    aliases = tracking.sync(state, Registry(kept), model, experiment or _plain(name))
    return {"service": name, "model": model, "decision": state.number, "aliases": aliases}


def fetch(source: str, folder: str | Path, *, uri: str | None = None) -> dict[str, Any]:
    """Bring the folder of a logged run back; its model is held against its manifest.

    Parameters
    ----------
    source : `models:/NAME@live`, `models:/NAME/3`, or `runs:/ID`.
    folder : where it is to be; nothing may be there yet.

    Returns `folder`, `run`, `digest` and `signed`.
    """
    from leaven.operate.tracking.client import Tracking

    manifest = Tracking(_uri(uri, Path(_RUNS))).fetch(source, Path(folder))
    return {
        "folder": str(folder), "run": manifest.run, "digest": manifest.digest,
        "signed": bool(manifest.signature),
    }  # fmt: skip


class Answering:
    """A run as MLflow asks it: `predict` of a data frame, texts or an array."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def predict(self, records: Any, params: dict[str, Any] | None = None) -> Any:
        """A pandas data frame, one row a record in the order given.

        `prediction`, `confidence`, and one `p_<class>` a class, calibrated; a record that cannot be
        read has no prediction. `params` is MLflow's and changes nothing.
        """
        import numpy as np
        import pyarrow as pa

        probabilities = self._run.predict(records)
        classes = self._run.classes
        read = ~np.isnan(probabilities).any(axis=1)
        said = np.where(read, np.nan_to_num(probabilities).argmax(axis=1), -1)
        columns = {
            "prediction": [classes[one] if one >= 0 else None for one in said],
            "confidence": probabilities.max(axis=1),  # of such a record no number, as the rest
        }
        columns |= {f"p_{name}": probabilities[:, one] for one, name in enumerate(classes)}
        return pa.table(columns).to_pandas()


def _load_pyfunc(path: str) -> Answering:
    """Called by MLflow with a logged run's folder, whose model is held against its manifest."""
    from leaven.evaluate.run import Run
    from leaven.operate.manifest import verified

    verified(Path(path) / "model")
    return Answering(Run.load(path))


def _uri(given: str | None, beside: Path) -> str:
    found = given or os.environ.get("MLFLOW_TRACKING_URI")
    return found or f"sqlite:///{beside / _FILE}"


def _plain(name: str) -> str:
    """A name of data as MLflow takes it for an experiment or a model.

    >>> _plain("data/märz:1")
    'data-m-rz-1'
    """
    import re

    return re.sub(r"[^\w .-]", "-", name, flags=re.ASCII).lstrip(" .-")[:200] or "leaven"
