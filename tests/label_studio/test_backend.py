"""The model behind Label Studio as it is asked: secrets, odd requests, records it knows and not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from leaven.core.errors import SettingError
from leaven.evaluate.run import Run
from leaven.label.queue import Ask, Queue
from leaven.label.results import standing
from leaven.label.studio.client import Client
from leaven.label.studio.config import Config, labelling_config, problems
from leaven.label.studio.known import Known
from leaven.label_studio import backend
from leaven.serve import studio_backend
from leaven.serve.studio_backend import News, application
from leaven.store.store import Store
from tests.label_studio.hostile import Answer, Heard, hostile

SECRET = "a secret of some length"
HEAD = {"X-Leaven-Secret": SECRET}


@pytest.fixture(scope="module")
def asked(run: Run) -> Iterator[TestClient]:
    with TestClient(application(Known(run), secret=SECRET)) as client:
        yield client


@pytest.fixture(scope="module")
def config(run: Run) -> str:
    return labelling_config(run.classes, "tabular")


def basic(told: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(told.encode()).decode()}


def a_task(record: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"uid": record} | more, "project": 1}


@pytest.mark.parametrize("head", [{}, {"X-Leaven-Secret": "no"}, {"X-Leaven-Secret": ""},
                                  basic("leaven:no"), basic(f"anna:{SECRET}"), basic("leaven"),
                                  {"authorization": "Basic %%%"}, {"authorization": "Basic /w=="},
                                  {"authorization": f"Bearer {SECRET}"}])  # fmt: skip
@pytest.mark.parametrize("path", ["/health", "/setup", "/predict", "/webhook", "/"])
def test_nothing_is_answered_without_the_secret(asked: TestClient, path: str, head: dict[str, str]):
    method = "GET" if path in ("/", "/health") else "POST"
    assert asked.request(method, path, headers=head, content=b"{}").status_code == 401


@pytest.mark.parametrize("head", [HEAD, basic(f"leaven:{SECRET}")])
def test_with_the_secret_it_is_up(asked: TestClient, head: dict[str, str], run: Run):
    told = asked.get("/health", headers=head).json()
    assert told == {"status": "UP", "model_class": f"leaven {run.folder.name}"}


def test_setup_knows_its_classes(asked: TestClient, config: str, run: Run):
    told = {"schema": config, "hostname": "http://127.0.0.1:1", "access_token": "t"}
    found = asked.post("/setup", headers=HEAD, json=told)
    assert found.json() == {"model_version": f"leaven {run.folder.name}"}
    other = labelling_config(("cat", "dog"), "tabular")
    found = asked.post("/setup", headers=HEAD, json=told | {"schema": other})
    assert found.status_code == 422
    assert "lack: 'barbera'" in found.json()["error"]


def test_predictions_are_the_models_and_calibrated(asked: TestClient, config: str, run: Run):
    records = ["w7", "w3", "nobody", "w3", None, 5, "w0"]
    tasks = [a_task(record, image="http://127.0.0.1:1/x") for record in records]
    told = {"tasks": [*tasks, {}, None], "label_config": config, "params": {"login": "x"}}
    found = asked.post("/predict", headers=HEAD, json=told).json()
    dataset = run.records()
    places = {name: i for i, name in enumerate(dataset.ids)}
    assert len(found["results"]) == 9, "one a task, in order"
    for record, some in zip([*records, None, None], found["results"], strict=True):
        if not isinstance(record, str) or record == "nobody":
            assert some == []
            continue
        (one,) = some
        _, p = run.predictor.predict(dataset.select(np.array([places[record]])))
        assert one["score"] == pytest.approx(p.max())
        assert one["result"][0]["value"] == {"choices": [run.classes[int(p.argmax())]]}
        assert problems(one, Config.read(config)) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"3", b'{"tasks": 3}', b'{"tasks": []}',
     b'{"tasks": [], "label_config": "<!DOCTYPE a [<!ENTITY b \'c\'>]><View/>"}',
     json.dumps({"tasks": [{}] * 5001, "label_config": "<View/>"}).encode()],
    ids=["nothing", "list", "open", "bytes", "deep", "number", "no tasks", "no config", "entities",
         "many"],
)  # fmt: skip
def test_an_odd_request_is_told_and_the_server_goes_on(asked: TestClient, body: bytes):
    found = asked.post("/predict", headers=HEAD, content=body)
    assert found.status_code == 422
    assert found.json()["error"]
    assert asked.get("/health", headers=HEAD).status_code == 200


def test_a_request_is_bounded(asked: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(studio_backend, "_LARGEST", 1000)
    assert asked.post("/predict", headers=HEAD, content=b"x" * 2000).status_code == 413


def test_a_secret_that_can_be_guessed_is_refused(run: Run):
    for secret in ("", "short", "ü" * 20):
        with pytest.raises(SettingError, match="secret"):
            backend(run, opened=lambda *_: None, secret=secret)
    with pytest.raises(SettingError, match="token"):
        backend(run, opened=lambda *_: None, url="http://127.0.0.1:1")


def test_news_are_fetched_from_the_server_that_was_named_and_tried_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(studio_backend, "_PAUSE", 0.01)
    queue = Queue.made(Store(tmp_path / "q.db"), "q", classes=run.classes, modality="tabular")
    queue.add([Ask("w1", "c")])
    region = {"from_name": "class", "value": {"choices": ["barolo"]}}
    mine = {
        "id": 4, "completed_by": {"id": 1}, "was_cancelled": False, "result": [region],
        "updated_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    visits: list[str] = []
    annotations = [mine]

    def answer(heard: Heard) -> Answer:
        if heard[1] == "/api/users/":
            return 200, {}, b'[{"id": 1, "email": "anna@x.org"}]'
        visits.append(heard[1])
        if len(visits) == 1:
            return 500, {}, b"busy"
        there = [] if len(visits) == 2 else annotations  # not committed yet
        told = a_task("w1") | {"id": 9, "project": 7, "annotations": there}
        return 200, {}, json.dumps(told).encode()

    config = labelling_config(run.classes, "tabular")
    project = {"id": 7, "label_config": config}
    with hostile(answer) as (url, _):
        news = News(Client(url, "0" * 40), queue, project)
        with TestClient(application(Known(run), secret=SECRET, news=news)) as asked:

            def told(action: str, **more: Any) -> bool:
                body = {"action": action, "project": {"id": 7, "url": "http://127.0.0.1:1"}} | more
                return asked.post("/webhook", headers=HEAD, json=body).json()["fetched"]

            about = {"task": {"id": 9}, "annotation": {"id": 4}}
            assert not told("PROJECT_UPDATED")
            assert not told("ANNOTATION_CREATED", **about, project={"id": 8})
            assert not told("ANNOTATION_CREATED", task={"id": "../../x"}, annotation=3)
            assert told("ANNOTATION_CREATED", **about)
            assert news.wait()
            assert [(one.person, one.label) for one in standing(queue)] == [
                ("anna@x.org", "barolo")
            ]
            annotations.clear()
            assert told("ANNOTATIONS_DELETED", annotations=[{"id": 4}])
            assert news.wait()
            assert standing(queue) == []
    assert set(visits) == {"/api/tasks/9/"}
