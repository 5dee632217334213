"""The one adapter for MLflow (extra `mlflow`): runs are logged, registered and given back.

A database by its URI needs no server; MLflow's own package for clients, with SQLAlchemy and
Alembic, does for it. A logged model is the run's folder under MLflow's `python_function` flavour,
which names `leaven.tracking` as its loader: JSON and safetensors, no pickle.

MLflow counts its use and sends that to its makers. It is told not to, before it is loaded.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import leaven
from leaven.core.errors import (
    LeavenError,
    MissingExtraError,
    RunError,
    SettingError,
    StoreError,
)
from leaven.core.holding import held
from leaven.operate.manifest import FILE, Manifest, verified, write_manifest
from leaven.operate.tracking import told

if TYPE_CHECKING:
    from leaven.evaluate.run import Run
    from leaven.operate.registry import Registry
    from leaven.operate.releases import State

__all__ = ["PLACES", "Logged", "Tracking"]

#: The aliases of a registered model: what the runs of a service are.
PLACES = ("live", "canary", "shadow")

LOADER = "leaven.tracking"
_MODEL, _RUN = "model", "run"  # names of a logged model, and of the run's folder in its data
_LITE = ("sqlite", "sqlite+pysqlite")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_NAME = re.compile(r"[\w][\w .-]{0,199}", re.ASCII)
_SOURCE = re.compile(r"models:/([^/@]+)(?:@([\w-]+)|/(\d+))|runs:/([\w-]+)", re.ASCII)
_BATCH = 100  # parameters or tags that MLflow takes at once; of metrics it takes ten times as many
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",  # a project of uv in the present folder is not the model's
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # whoever types a command does not wait for minutes
}


@dataclass(frozen=True)
class Logged:
    """A run as it stands in MLflow.

    `version` is that of the registered model `model`, "" where it was not registered; `new` says
    whether it was logged now, or was there already.
    """

    uri: str
    experiment: str
    mlflow_run: str
    run: str
    digest: str
    model_id: str
    new: bool
    model: str = ""
    version: str = ""


class Tracking:
    """An MLflow, by the URI of its database or server.

    Parameters
    ----------
    uri : `sqlite:///FILE`, another database's URL, or `https://…` of a server.
    artifacts : folder or URL of the files of new experiments. Beside the file for SQLite if not
        given, the server's own matter for a server.

    Raises SettingError for an address that is none, MissingExtraError without the extra `mlflow`,
    StoreError where it cannot be reached.
    """

    def __init__(self, uri: str, artifacts: str | None = None) -> None:
        self._artifacts = _artifacts(uri, artifacts)
        self._mlflow = _library()
        self.uri, self.shown = uri, _shown(uri)
        self._file = _file(uri)

    @cached_property
    def _client(self) -> Any:
        return self._mlflow.MlflowClient(self.uri, self.uri)

    def log(self, run: Run, experiment: str) -> Logged:
        """Log a run with its model; one that is there already, with the same files, stays as it is.

        Raises RunError for a model that is not as it was released.
        """
        _named("experiment", experiment)
        with tempfile.TemporaryDirectory(prefix="leaven-") as scratch, self._said():
            copy = Path(scratch) / _RUN
            _copy(run.folder, copy)
            manifest = _manifest(copy / "model", str(run.story["run"]["id"]))
            place = self._experiment(experiment)
            there = self._there(place, manifest)
            if there is not None:
                mlflow_run, model_id = there
            else:
                mlflow_run, model_id = self._logged(run, manifest, place, copy, Path(scratch))
        return Logged(
            self.shown, experiment, mlflow_run, manifest.run, manifest.digest, model_id,
            new=there is None,
        )  # fmt: skip

    def register(self, logged: Logged, name: str) -> Logged:
        """Make the logged run a version of the registered model `name`, once."""
        _named("register", name)
        with self._said():
            version = self._version(name, logged.digest)
            if version is None:
                self._model(name)
                tags = {"leaven.run": logged.run, "leaven.digest": logged.digest}
                # Not by `models:/ID`, which the registry of a database would look up elsewhere.
                source = self._client.get_logged_model(logged.model_id).artifact_location
                made = self._client.create_model_version(
                    name, source, logged.mlflow_run, tags=tags,
                    description=f"The run {logged.run} of Leaven.", model_id=logged.model_id,
                )  # fmt: skip
                version = str(made.version)
        return Logged(**vars(logged) | {"model": name, "version": version})

    def sync(self, state: State, registry: Registry, name: str, experiment: str) -> dict[str, str]:
        """Let the aliases of a registered model say what the releases of a service say.

        Runs that MLflow does not know yet are logged and registered. Returns the version of each
        alias that is set; one whose place is empty is taken away.
        """
        _named("register", name)
        found: dict[str, str] = {}
        for place in PLACES:
            named = getattr(state, place)
            if named is None:
                continue
            with self._said():
                version = self._version(name, named.digest)
            if version is None:
                logged = self.log(registry.load(named.run, named.digest), experiment)
                version = self.register(logged, name).version
            found[place] = version
        with self._said():
            there = self._model(name).aliases
            for place, version in found.items():
                self._client.set_registered_model_alias(name, place, version)
            for place in PLACES:
                if place in there and place not in found:
                    self._client.delete_registered_model_alias(name, place)
            self._client.set_registered_model_tag(name, "leaven.service", state.service)
            self._client.set_registered_model_tag(name, "leaven.decision", str(state.number))
            share = f"{state.canary.share:g}" if state.canary else ""
            self._client.set_registered_model_tag(name, "leaven.canary_share", share)
        return found

    def fetch(self, source: str, folder: Path) -> Manifest:
        """Bring a logged run's folder back, its model held against its manifest and its digest.

        Parameters
        ----------
        source : `models:/NAME@live`, `models:/NAME/3`, or `runs:/ID` of an MLflow run.
        folder : where the run is to be; nothing may be there yet.

        Raises RunError for a model that is not what was logged, StoreError for what is not there.
        """
        asked = _SOURCE.fullmatch(source)
        if asked is None:
            wanted = "models:/NAME@ALIAS, models:/NAME/VERSION or runs:/ID"
            raise SettingError("source", wanted, source)
        if folder.exists():
            raise SettingError("folder", "one that is not there yet", str(folder))
        if self._file is not None and not self._file.exists():
            raise StoreError(f"Nothing was logged yet: there is no MLflow at '{self.shown}'.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".leaven-", dir=folder.parent) as scratch:
            with self._said():
                address, digest = self._found(*asked.groups())
                brought = self._mlflow.artifacts.download_artifacts(
                    artifact_uri=address, dst_path=scratch, tracking_uri=self.uri
                )  # fmt: skip
            run = Path(brought) / "data" / _RUN
            manifest = verified(run / "model", digest)
            _check_run(run)
            os.replace(run, folder)
        return manifest

    def _logged(
        self, run: Run, manifest: Manifest, place: str, copy: Path, scratch: Path
    ) -> tuple[str, str]:
        """A new MLflow run and its model, by their ids; marked as failed where it was cut off."""
        entities = self._mlflow.entities
        tags = told.tags(run, manifest.digest, bool(manifest.signature))
        name = str(run.story["run"]["id"])
        made = self._client.create_run(place, tags=tags, run_name=name).info.run_id
        try:
            now = int(time.time() * 1000)
            params = [entities.Param(key, value) for key, value in told.parameters(run).items()]
            for some in _batches(params, _BATCH):
                self._client.log_batch(made, params=some)
            course = [(key, value, 0) for key, value in told.metrics(run).items()]
            points = (
                entities.Metric(k, v, now, step) for k, v, step in [*course, *told.history(run)]
            )
            for part in _batches(points, 10 * _BATCH):
                self._client.log_batch(made, metrics=part)
            purpose = [entities.InputTag("mlflow.data.context", "training")]
            given = entities.Dataset(**told.dataset(run))
            self._client.log_inputs(made, [entities.DatasetInput(given, purpose)])
            for file in ("report.html", "recipe.toml", "run.json"):
                self._client.log_artifact(made, str(copy / file))
            model_id = self._model_of(made, place, copy, scratch, tags)
            self._client.set_terminated(made, "FINISHED")
        except BaseException:
            self._client.set_terminated(made, "FAILED")
            raise
        return made, model_id

    def _model_of(
        self, made: str, place: str, copy: Path, scratch: Path, tags: dict[str, str]
    ) -> str:
        """Log the run's folder as a model of MLflow's `python_function` flavour; its id."""
        saved = scratch / "saved"
        wanted = [f"leaven[mlflow]=={leaven.__version__}"]  # named, or MLflow runs it to find out
        self._mlflow.pyfunc.save_model(
            str(saved), loader_module=LOADER, data_path=str(copy), pip_requirements=wanted
        )
        kept = {name: value for name, value in tags.items() if name.startswith("leaven.")}
        model_id = self._client.create_logged_model(
            place, name=_MODEL, source_run_id=made, tags=kept
        ).model_id
        self._client.log_model_artifacts(model_id, str(saved))
        self._client.finalize_logged_model(model_id, "READY")
        output = self._mlflow.entities.LoggedModelOutput(model_id, step=0)
        self._client.log_outputs(made, [output])
        return str(model_id)

    def _experiment(self, name: str) -> str:
        there = self._client.get_experiment_by_name(name)
        if there is not None:
            return str(there.experiment_id)
        return str(self._client.create_experiment(name, artifact_location=self._artifacts))

    def _there(self, place: str, manifest: Manifest) -> tuple[str, str] | None:
        """The MLflow run and the model that this run has become already."""
        asked = (
            f"tags.`leaven.run` = '{manifest.run}' and tags.`leaven.digest` = '{manifest.digest}' "
            "and attributes.status = 'FINISHED'"
        )
        for one in self._client.search_runs([place], asked, max_results=1):
            model_id = _output(one)
            if model_id:
                return str(one.info.run_id), model_id
        return None

    def _version(self, name: str, digest: str) -> str | None:
        """The newest version of a registered model that has these files."""
        asked = f"name = '{name}' and tag.`leaven.digest` = '{digest}'"
        found = [int(one.version) for one in self._client.search_model_versions(asked)]
        return str(max(found)) if found else None

    def _model(self, name: str) -> Any:
        """The registered model, made if it is not there."""
        if not self._client.search_registered_models(f"name = '{name}'", max_results=1):
            self._client.create_registered_model(name, description="A service of Leaven.")
        return self._client.get_registered_model(name)

    def _found(
        self, name: str | None, alias: str | None, version: str | None, run: str | None
    ) -> tuple[str, str]:
        """Where the model that is asked for is, and the digest that it was logged with."""
        if run is not None:
            one = self._client.get_run(run)
            model_id, digest = _output(one), one.data.tags.get("leaven.digest")
            address = (
                self._client.get_logged_model(model_id).artifact_location if model_id else None
            )
        else:
            if alias:
                version = self._client.get_model_version_by_alias(name, alias).version
            digest = self._client.get_model_version(name, version).tags.get("leaven.digest")
            address = self._client.get_model_version_download_uri(name, version)
        if not address or digest is None:
            raise StoreError(
                f"What MLflow at '{self.shown}' holds there was not logged by leaven mlflow log."
            )
        return str(address), str(digest)

    def _make(self, file: Path) -> None:
        """A new database, under another name until it is whole: MLflow cannot mend half of one."""
        partial = file.with_name(f"{file.name}.part")
        for stale in (partial, partial.with_name(f"{partial.name}-journal")):
            stale.unlink(missing_ok=True)
        uri = f"sqlite:///{partial}"
        self._mlflow.MlflowClient(uri, uri).search_experiments(max_results=1)
        os.replace(partial, file)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """What MLflow cannot do, in one sentence; with a file of SQLite one process at a time."""
        from requests.exceptions import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with _alone(self._file):
                if self._file is not None and not self._file.exists():
                    self._make(self._file)
                yield
        except LeavenError:
            raise
        except (self._mlflow.MlflowException, RequestException, SQLAlchemyError) as failed:
            # With the password that an address may hold, the address goes.
            said = str(failed).replace(self.uri, self.shown).strip().partition("\n")[0][:400]
            raise StoreError(f"MLflow at '{self.shown}' failed: {said}") from failed


def _library() -> Any:
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    try:
        import mlflow
        import mlflow.artifacts
        import mlflow.entities
        import mlflow.pyfunc
    except ImportError as missing:
        raise MissingExtraError("mlflow", "MLflow") from missing
    return mlflow


def _artifacts(uri: str, given: str | None) -> str | None:
    """Where files of a new experiment go; None where the server knows. SettingError for no URI."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme in ("http", "https"):
        return given
    if scheme not in _DATABASES or (scheme == "sqlite" and not urlsplit(uri).path.strip("/")):
        raise SettingError(
            "uri", "sqlite:///FILE, the URL of another database, or https://… of a server",
            _shown(uri), "MLflow keeps no runs in bare folders any more.",
        )  # fmt: skip
    if given is not None:
        return given if "://" in given else Path(given).absolute().as_uri()
    if (file := _file(uri)) is not None:
        return file.with_name(f"{file.stem}-artifacts").as_uri()
    raise SettingError(
        "artifacts", "a folder or URL, for a database keeps no files", None,
        "Name one that everybody who fetches can reach.",
    )  # fmt: skip


def _file(uri: str) -> Path | None:
    """The file of a database of SQLite."""
    before, found, path = uri.partition(":///")
    return Path(path).absolute() if found and before in _LITE else None


@contextmanager
def _alone(file: Path | None) -> Iterator[None]:
    """Hold the database against other processes of ours.

    MLflow makes its tables without a lock, and looks and logs in two steps.
    """
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(f"{file.name}.lock")
    lock.touch()
    with held(lock, wait=True):
        yield


def _copy(run: Path, copy: Path) -> None:
    """The run's files, without what is only there while it is made."""
    root = run.resolve()
    for path in root.rglob("*"):
        if not path.resolve().is_relative_to(root):
            raise RunError(f"'{path.relative_to(root)}' in '{run}' leads out of it.")
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("work", "*.part"))


def _manifest(model: Path, run: str) -> Manifest:
    """That with which the run was released, held against its files; a new one where it was not."""
    return verified(model) if (model / FILE).exists() else write_manifest(model, run)


def _check_run(folder: Path) -> None:
    """RunError for what is no finished run."""
    from leaven.evaluate.run import Run  # loads torch, which who mistyped does not wait for

    Run.load(folder)


def _output(run: Any) -> str:
    """The id of the model that an MLflow run has made, or ""."""
    outputs = run.outputs.model_outputs if run.outputs else []
    return str(outputs[0].model_id) if outputs else ""


def _named(parameter: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        wanted = "at most 200 letters, digits, spaces and ._-, a letter or digit first"
        raise SettingError(parameter, wanted, name)


def _batches(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def _shown(uri: str) -> str:
    """The address without a password."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)
