"""A real MLflow in SQLite: what is logged is found, answers the same, and comes back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from leaven import releasing, tracking
from leaven.cli import app
from leaven.core.errors import (
    DataError,
    MissingExtraError,
    RunError,
    SettingError,
    StoreError,
)
from leaven.evaluate.run import Run
from leaven.operate.tracking.client import _QUIET

mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def logged(wine: Run, uri: str) -> dict[str, Any]:
    return tracking.log(wine, uri=uri, register="wine")


@pytest.fixture(scope="module")
def client(uri: str) -> Any:
    return mlflow.MlflowClient(uri, uri)


@pytest.fixture(scope="module")
def second(wine: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Another run: the same files under another id."""
    run = copied(wine, tmp_path_factory.mktemp("second") / "wine-again")
    story = run.story | {"run": run.story["run"] | {"id": "wine-again"}}
    (run.folder / "run.json").write_text(json.dumps(story))
    return Run.load(run.folder)


def copied(run: Run, folder: Path) -> Run:
    """The run in a folder of its own, for a release writes into it."""
    return Run.load(shutil.copytree(run.folder, folder))


def test_a_run_is_told_whole(wine: Run, logged: dict[str, Any], client: Any):
    one = client.get_run(logged["mlflow_run"])
    assert one.info.status == "FINISHED"
    assert one.data.params["method"] == "label-spreading"
    assert one.data.params["training.rate"] == str(wine.story["recipe"]["training"]["rate"])
    for name, figure in wine.metrics.items():
        told = [one.data.metrics[f"{name}{end}"] for end in ("", ".low", ".high", ".n")]
        assert told == [figure.value, figure.low, figure.high, figure.n]
        assert one.data.metrics[f"baseline.{name}"] == wine.baseline[name].value
    assert one.data.metrics["difference"] == wine.verdict.difference.value
    assert one.data.metrics["final label-spreading/coverage"] == 1.0
    tags = one.data.tags
    assert tags["leaven.data"] == wine.story["dataset"]["hash"]
    assert tags["leaven.verdict"] == wine.verdict.outcome
    assert tags["mlflow.note.content"] == wine.verdict.sentence
    assert tags["leaven.digest"] == logged["digest"]
    (given,) = one.inputs.dataset_inputs
    assert given.dataset.name == "wine"
    assert json.loads(given.dataset.profile)["labelled"] == 40
    files = {file.path for file in client.list_artifacts(logged["mlflow_run"])}
    assert files == {"report.html", "recipe.toml", "run.json"}


def test_mlflow_loads_it_and_it_answers_the_same_to_the_bit(
    wine: Run, logged: dict[str, Any], uri: str, monkeypatch: pytest.MonkeyPatch
):
    frame = pytest.importorskip("pandas").read_csv(wine.story["dataset"]["source"])
    frame = frame.drop(columns="label")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    found = mlflow.pyfunc.load_model(f"models:/wine/{logged['version']}").predict(frame)
    wanted = wine.predict(frame)
    assert np.array_equal(found[[f"p_{name}" for name in wine.classes]].to_numpy(), wanted)
    assert found["prediction"].tolist() == [wine.classes[i] for i in wanted.argmax(1)]
    assert np.array_equal(found["confidence"].to_numpy(), wanted.max(1))


def test_nothing_that_is_logged_is_a_pickle(logged: dict[str, Any], client: Any):
    where = Path(client.get_logged_model(logged["model_id"]).artifact_location.split("://")[1])
    kinds = {path.suffix for path in (where / "data").rglob("*") if path.is_file()}
    assert kinds >= {".json", ".safetensors"}
    assert kinds <= {".json", ".safetensors", ".onnx", ".parquet", ".html", ".toml", ".drift"}
    assert "loader_module: leaven.tracking" in (where / "MLmodel").read_text()


def test_a_run_is_logged_once(wine: Run, logged: dict[str, Any], uri: str, client: Any):
    again = tracking.log(wine, uri=uri, register="wine")
    assert logged["new"]
    assert again == logged | {"new": False}
    place = client.get_experiment_by_name("wine").experiment_id
    assert len(client.search_runs([place])) == 1
    assert len(client.search_model_versions("name = 'wine'")) == 1


def test_of_two_who_log_a_run_at_once_one_finds_it(wine: Run, tmp_path: Path):
    """Into a database that neither of them finds: its tables are made by one of them."""
    new = f"sqlite:///{tmp_path}/new/mlflow.db"
    with ThreadPoolExecutor(2) as both:
        calls = [both.submit(tracking.log, wine, uri=new, register="wine") for _ in range(2)]
        told = [call.result() for call in calls]
    assert {one["new"] for one in told} == {True, False}
    assert {(one["mlflow_run"], one["version"]) for one in told} == {(told[0]["mlflow_run"], "1")}


def test_what_was_cut_off_is_marked_and_logged_again(
    second: Run, uri: str, client: Any, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as broken:
        broken.setattr(mlflow.pyfunc, "save_model", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tracking.log(second, uri=uri, experiment="cut")
    assert tracking.log(second, uri=uri, experiment="cut")["new"]
    place = client.get_experiment_by_name("cut").experiment_id
    states = {one.info.status for one in client.search_runs([place])}
    assert states == {"FAILED", "FINISHED"}


def test_aliases_follow_the_releases(wine: Run, second: Run, uri: str, client: Any, tmp_path: Path):
    first, other = (copied(run, tmp_path / run.folder.name) for run in (wine, second))
    store = {"store": tmp_path / "store.db"}
    releasing.release(first, by="ann", override="the first", service="wines", **store)
    live = tracking.sync(uri=uri, **store)["aliases"]
    assert live == {"live": "1"}
    assert not tracking.log(first, uri=uri, experiment="wines", register="wines")["new"]
    releasing.release(other, by="ann", override="tried", service="wines", canary=0.1, **store)
    told = tracking.sync("wines", uri=uri, **store)
    assert (told["decision"], told["aliases"]) == (2, {"live": "1", "canary": "2"})
    kept = client.get_registered_model("wines")
    assert kept.aliases == {"live": 1, "canary": 2}
    assert kept.tags["leaven.canary_share"] == "0.1"
    releasing.promote(by="ben", **store)
    assert tracking.sync(uri=uri, **store)["aliases"] == {"live": "2"}
    assert client.get_registered_model("wines").aliases == {"live": 2}


def test_a_run_comes_back_as_it_went(wine: Run, logged: dict[str, Any], uri: str, tmp_path: Path):
    words = ["mlflow", "fetch", f"runs:/{logged['mlflow_run']}", str(tmp_path / "back")]
    done = CliRunner().invoke(app, [*words, "--uri", uri])
    assert done.exit_code == 0, done.output
    back = Run.load(tmp_path / "back")
    assert back.story == wine.story
    told = {p.relative_to(wine.folder): p.read_bytes() for p in wine.folder.rglob("*.*")}
    found = {p.relative_to(back.folder): p.read_bytes() for p in back.folder.rglob("*.*")}
    assert {n for n in found if n.name != "manifest.json"} == {
        n for n in told if n.name != "manifest.json"
    }
    assert all(found[name] == data for name, data in told.items() if name in found)
    again = CliRunner().invoke(app, [*words, "--uri", uri, "--json"])
    assert "one that is not there yet" in again.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["back"]


def test_a_model_that_was_changed_there_is_refused(
    second: Run, uri: str, client: Any, tmp_path: Path
):
    told = tracking.log(second, uri=uri, experiment="changed", register="changed")
    where = Path(client.get_logged_model(told["model_id"]).artifact_location.split("://")[1])
    model = where / "data" / "run" / "model"
    (model / "predictor.json").write_text((model / "predictor.json").read_text() + " ")
    with pytest.raises(RunError, match=r"'predictor.json' was changed"):
        tracking.fetch("models:/changed/1", tmp_path / "back", uri=uri)
    with pytest.raises(RunError, match=r"'predictor.json' was changed"):
        tracking._load_pyfunc(str(where / "data" / "run"))
    # Who may change the files may change the manifest as well; not what MLflow's database says.
    manifest = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps(manifest | {"run": "another"}))
    with pytest.raises(RunError, match="another than the one that was released"):
        tracking.fetch("models:/changed/1", tmp_path / "back", uri=uri)
    assert list(tmp_path.iterdir()) == []


def test_a_released_run_that_was_changed_is_not_logged(second: Run, uri: str, tmp_path: Path):
    folder = copied(second, tmp_path / "run").folder
    releasing.release(folder, by="ann", override="x", store=tmp_path / "store.db")
    model = folder / "model" / "predictor.json"
    model.write_text(model.read_text() + " ")
    with pytest.raises(RunError, match=r"'predictor.json' was changed"):
        tracking.log(folder, uri=uri)


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        ({"uri": "mlruns"}, SettingError, "MLflow keeps no runs in bare folders"),
        ({"uri": "file:///tmp/mlruns"}, SettingError, "'uri' must be sqlite"),
        ({"uri": "postgresql://ann:secret@db/x"}, SettingError, "'artifacts' must be a folder"),
        ({"experiment": "a/b"}, SettingError, "'experiment' must be at most"),
        ({"register": "it's"}, SettingError, "'register' must be at most"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_said(
    call: dict[str, str], kind: type[Exception], said: str, wine: Run, uri: str
):
    with pytest.raises(kind, match=said) as told:
        tracking.log(wine, **({"uri": uri} | call))
    assert "secret" not in str(told.value)


def test_what_is_not_there_is_said(uri: str, logged: dict[str, Any], tmp_path: Path):
    for source in ("models:/wine@nobody", "models:/wien/1", "runs:/0123"):
        with pytest.raises(StoreError, match=r"MLflow at 'sqlite:.*' failed: .*not found"):
            tracking.fetch(source, tmp_path / "x", uri=uri)
    with pytest.raises(StoreError, match="Nothing was logged yet"):
        tracking.fetch("models:/wine/1", tmp_path / "x", uri=f"sqlite:///{tmp_path}/no/m.db")
    with pytest.raises(SettingError, match="'source' must be models:/NAME@ALIAS"):
        tracking.fetch("wine@live", tmp_path / "x", uri=uri)
    with pytest.raises(DataError, match="Nothing was released yet"):
        tracking.sync(uri=uri, store=tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_gone_is_said_without_its_password(
    wine: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreError) as told:
        tracking.log(wine, uri="http://ann:secret@127.0.0.1:1")
    assert "MLflow at 'http://ann:***@127.0.0.1:1' failed" in str(told.value)
    assert "secret" not in str(told.value)


def test_without_the_extra_it_is_named(wine: Run, uri: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'leaven\[mlflow\]'"):
        tracking.log(wine, uri=uri)


def test_nothing_phones_home(logged: dict[str, Any], uri: str):
    """In a process of its own, without what tells MLflow that it is being tested."""
    code = (
        "import socket, sys\n"
        "def refused(self, address):\n"
        "    print('CONNECTS', address, flush=True)\n"
        "    raise OSError('no network here')\n"
        "socket.socket.connect = refused\n"
        "socket.getaddrinfo = lambda *told, **more: refused(None, told)\n"
        "from pathlib import Path\n"
        "from leaven import tracking\n"
        "from leaven.core.errors import StoreError\n"
        "try:\n"
        "    tracking.fetch('models:/a@b', Path('nowhere'), uri=sys.argv[1])\n"
        "except StoreError:\n"
        "    print('asked')\n"
        "print('torch' in sys.modules)\n"
    )
    hidden = ("CI", "PYTEST_CURRENT_TEST", "GITHUB_ACTIONS", *_QUIET)
    bare = {name: value for name, value in os.environ.items() if name not in hidden}
    words = [sys.executable, "-c", code, uri]
    done = subprocess.run(words, capture_output=True, text=True, env=bare, check=True)
    assert done.stdout.split() == ["asked", "False"]
