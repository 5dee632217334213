"""What programs and people ask, what they are told, and what is refused in one sentence."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from leaven.evaluate.run import Run
from leaven.operate.manifest import read_manifest
from leaven.serve.models.answering import Settings
from leaven.serve.models.limits import Limits
from leaven.store.people import People
from leaven.store.store import Store
from tests.serve.models.released import Client, eventually, raw, release, served


def texts_input(*said: str, **more: Any) -> dict[str, Any]:
    told = {"name": "text", "shape": [len(said)], "datatype": "BYTES", "data": list(said)}
    return {"inputs": [told | more]}


@pytest.fixture(scope="module")
def client(texts: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = str(tmp_path_factory.mktemp("routes") / "leaven.db")
    release(texts, store)
    limits = Limits(body=20_000, records=8, text=1000, waiting=8)
    with served(store, settings=Settings(limits=limits)) as made:
        yield made


def test_the_protocol_describes_what_it_serves(client: Client, texts: Run):
    version = read_manifest(texts.folder / "model").digest
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["name"] == "leaven"
    told = client.get("/v2/models/tickets").json()
    assert (told["name"], told["versions"], told["platform"]) == ("tickets", [version], "leaven")
    assert told["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert told["parameters"]["classes"] == list(texts.classes)
    for name in (version, version[:12], texts.story["run"]["id"]):
        assert client.get(f"/v2/models/tickets/versions/{name}").json() == told
        assert client.get(f"/v2/models/tickets/versions/{name}/ready").json()["ready"]
    for path in ("/v2/models/other", f"/v2/models/tickets/versions/{version[:11]}", "/v2/nothing"):
        refused = client.get(path)
        assert (refused.status_code, list(refused.json())) == (404, ["error"])
    assert client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]


def test_infer_answers_by_tensors(client: Client, texts: Run):
    said = ["my parcel is late", "invoice refund"]
    told = client.post("/v2/models/tickets/infer", json={"id": "mine", **texts_input(*said)}).json()
    expected = texts.predict(said)
    outputs = {one["name"]: one for one in told["outputs"]}
    assert (told["id"], told["model_name"]) == ("mine", "tickets")
    assert told["parameters"]["run"] == texts.story["run"]["id"]
    assert outputs["label"]["data"] == [texts.classes[i] for i in expected.argmax(1)]
    assert outputs["probabilities"]["shape"] == [2, 3]
    np.testing.assert_allclose(outputs["probabilities"]["data"], expected.ravel(), atol=1e-6)
    assert outputs["input"]["data"] == texts.dataset(said).content.tolist()
    asked = texts_input(*said, shape=[2, 1], data=[[one] for one in said])
    asked["outputs"] = [{"name": "label"}]
    only = client.post("/v2/models/tickets/infer", json=asked).json()["outputs"]
    assert only == [outputs["label"]]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (texts_input("a", shape=[2]), "1 values, its shape"),
        (texts_input("a", shape=[-1]), "greater than or equal to 0"),
        (texts_input("a", shape=[]), "a shape that begins with"),
        (texts_input(*"abcdefghi"), "begins with 1 to 8"),
        (texts_input("a", datatype="FP32"), "not FP32"),
        (texts_input("a", datatype="NONE"), "not NONE"),
        (texts_input("a", data=[["a"]]), "not BYTES"),
        (texts_input("a") | {"outputs": [{"name": "lable"}]}, "Did you mean 'label'"),
        (texts_input("a") | {"inputs": texts_input("a")["inputs"] * 2}, "a name of its own"),
        ({"inputs": []}, "at least 1 item"),
        ({"inputs": 3}, "valid list"),
        (texts_input("a") | {"what": 1}, "Extra inputs"),
        (texts_input("a") | {"parameters": {"key": 3}}, "'key' must be"),
        (texts_input("a") | {"id": "\n"}, "'id' must be"),
        (texts_input("a", name="other"), "none of the model's columns"),
        ([], "valid dictionary"),
    ],
)
def test_what_the_protocol_refuses(client: Client, asked: Any, why: str):
    refused = client.post("/v2/models/tickets/infer", json=asked)
    assert refused.status_code in (400, 422)
    assert why in refused.json()["error"]


def test_people_ask_plainly(client: Client, texts: Run):
    told = client.post("/predict", json={"text": "invoice"}, headers={"X-Request-Id": "r1"}).json()
    one = told["predictions"][0]
    assert (told["request"], told["model"], told["place"]) == ("r1", "tickets", "live")
    assert one["label"] == max(one["probabilities"], key=one["probabilities"].get)
    assert one["probability"] == max(one["probabilities"].values())
    assert (one["abstained"], one["route"], one["explored"]) == (False, "answer", False)
    for same in ("invoice", {"records": ["invoice"]}, {"records": [{"text": "invoice"}]}):
        again = client.post("/predict", json=same).json()["predictions"][0]
        assert again["probabilities"] == pytest.approx(one["probabilities"], abs=1e-5)
        assert again["input"] == one["input"]
        assert again["id"] != one["id"]
    for bad, status in (
        ({"records": []}, 422), ({"records": ["a"], "recrods": 1}, 422), (7, 422),
        ({"records": ["a"] * 9}, 413), ({"records": ["a", 7, ""]}, 422),
        ({"text": "a" * 1001}, 422), ({"text": "a" * 30_000}, 413),
    ):  # fmt: skip
        refused = client.post("/predict", json=bad)
        assert (refused.status_code, list(refused.json())) == (status, ["error"])


def test_files_come_as_a_form(pictures: Run, tmp_path: Any):
    store = str(tmp_path / "leaven.db")
    release(pictures, store)
    stream = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(stream, "PNG")
    picture = stream.getvalue()
    files = [("file", ("../../etc/passwd", picture)), ("file", ("b", picture + b"\r\n--"))]
    with served(store, "digits", settings=Settings(limits=Limits(pixels=100))) as client:
        told = client.post("/predict", files=files, data={"key": "k", "id": "i"}).json()
        assert told["request"] == "i"
        first, second = told["predictions"]
        encoded = base64.b64encode(picture).decode()
        plain = client.post("/predict", json={"image": encoded}).json()["predictions"][0]
        assert first["probabilities"] == pytest.approx(plain["probabilities"], abs=1e-5)
        assert first["input"] == plain["input"] != second["input"]
        asked = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [encoded]}
        outputs = client.post("/v2/models/digits/infer", json={"inputs": [asked]}).json()["outputs"]
        assert outputs[-1]["data"] == [first["input"]]
        for body in (b"", b"--x", b"--x\r\n\r\n--x--", b"--x\r\na: b\r\n\r\nc\r\n--x--"):
            headers = {"content-type": "multipart/form-data; boundary=x"}
            assert client.post("/predict", content=body, headers=headers).status_code in (400, 422)
        assert client.post("/predict", files=[("f", ("p", b"no picture"))]).status_code == 422
        assert client.post("/predict", files=[("f", ("p", b""))]).status_code == 422


def test_vectors_come_flat_or_nested(vectors: Run, store: str):
    release(vectors, store)
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    expected = vectors.predict(pa.table({"features": x.tolist()}))
    with served(store, "vectors") as client:
        path = "/v2/models/vectors/infer"
        assert client.get("/v2/models/vectors").json()["inputs"][0]["shape"] == [-1, 4]

        def ask(data: Any, shape: list[int], datatype: str = "FP32") -> httpx.Response:
            one = {"name": "features", "shape": shape, "datatype": datatype, "data": data}
            return client.post(path, json={"inputs": [one]})

        for data in (x.ravel().tolist(), x.tolist()):
            found = ask(data, [3, 4]).json()["outputs"][2]["data"]
            np.testing.assert_allclose(found, expected.ravel(), atol=1e-5)
        plain = client.post("/predict", json={"features": x[0].tolist()}).json()["predictions"][0]
        np.testing.assert_allclose(list(plain["probabilities"].values()), expected[0], atol=1e-5)
        for data, shape in (
            (x.tolist(), [4, 3]), (x[:, :3].tolist(), [3, 3]), ([1.0], [1]), ([[1.0], 2], [2, 1]),
            ([None] * 4, [1, 4]), ([True] * 4, [1, 4]), ([1] * 8, [1, 2, 4]),
            ([10**400] * 4, [1, 4]),
        ):  # fmt: skip
            assert ask(data, shape).status_code in (400, 422)


def test_routes_that_are_not_there_say_so(client: Client):
    for method, path, status in (
        ("GET", "/", 404), ("GET", "/predict", 405), ("DELETE", "/v2", 405), ("GET", "/%00", 404),
    ):  # fmt: skip
        refused = client.request(method, path)
        assert (refused.status_code, list(refused.json())) == (status, ["error"])
    told = client.get("/v2").headers
    assert told["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in told["content-security-policy"]


def test_other_pages_and_hosts_are_refused(client: Client):
    asked = {"json": {"text": "a"}}
    for name, value, status in (
        ("host", "evil.example", 421), ("host", "localhost@evil", 421), ("host", "[", 421),
        ("origin", "http://evil.example", 403), ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403), ("content-type", "text/plain", 415),
    ):  # fmt: skip
        refused = client.post("/predict", headers={name: value}, **asked)
        assert (name, value, refused.status_code) == (name, value, status)
    assert client.post("/predict", headers={"host": "localhost:1"}, **asked).status_code == 200


def test_from_elsewhere_a_token_is_needed(texts: Run, store: str):
    release(texts, store)
    people = People(Store(store))
    viewer = people.new_token("app", "viewer", by="ann")
    annotator = people.new_token("truth", "annotator", by="ann")
    with served(store, tokens=True, hosts=None) as client:

        def ask(path: str, secret: str = "", **told: Any) -> httpx.Response:
            headers = {"authorization": f"Bearer {secret}"} if secret else {}
            return client.post(path, json=told, headers=headers)

        assert client.get("/v2/health/ready").status_code == 200
        assert client.get("/status").status_code == 401
        assert ask("/predict", text="a").headers["www-authenticate"] == "Bearer"
        assert ask("/predict", "leaven_wrong", text="a").status_code == 401
        name = ask("/predict", viewer, text="a").json()["predictions"][0]["id"]
        refused = ask("/feedback", viewer, id=name, label="login")
        assert (refused.status_code, "role annotator" in refused.text) == (403, True)
        assert ask("/feedback", annotator, id=name, label="login").json()["again"] is False
        people.revoke("app", by="ann")
        client.service.watch.stop()
    with served(store, tokens=True, hosts=None) as client:
        headers = {"authorization": f"Bearer {viewer}"}
        assert client.post("/predict", json={"text": "a"}, headers=headers).status_code == 401


def test_too_many_at_once_are_told_to_come_again(client: Client):
    batcher = client.service.batcher
    statuses, began = [], threading.Event()
    with batcher._changed:  # the thread cannot take what waits

        def ask() -> None:
            began.wait(5)
            told = {"records": ["card"] * 4}
            statuses.append(httpx.post(f"{client.base_url}/predict", json=told, timeout=30))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        batcher._records += 8
        began.set()
    for thread in threads:
        thread.join()
    batcher._records -= 8
    assert [one.status_code for one in statuses] == [429, 429]
    assert {one.headers["retry-after"] for one in statuses} == {"1"}
    assert client.ask().status_code == 200


def test_what_is_under_way_stays_within_bounds(client: Client):
    intake = client.service.intake
    assert intake.held == 0  # of all that was refused and answered before
    kept = intake._limits.held
    intake.held = kept - 100
    refused = client.ask("card " * 30)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert intake.held == kept - 100
    intake.held = 0


def test_an_answer_that_takes_too_long_is_given_up(texts: Run, store: str):
    release(texts, store)
    with served(store, settings=Settings(limits=Limits(seconds=0.3))) as client:
        model = client.service.routing.live
        model.seconds = 1.0  # it is asked by the thread, behind others
        began, go_on = threading.Event(), threading.Event()

        def slow() -> None:
            began.set()
            go_on.wait(10)

        def heard(_: Any) -> None:
            slow()

        client.service.batcher.ask_quietly(model, [model.reader.checked("a")], heard)
        assert began.wait(5)
        refused = client.ask()
        assert (refused.status_code, refused.json()) == (503, {"error": "No answer within 0.3 s."})
        go_on.set()
        assert eventually(lambda: client.ask().status_code == 200)


SOMETHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["records", "text", "key", "id", "inputs", "name", "shape", "data"]),
            inner, max_size=4,
        )
    ),
    max_leaves=10,
)  # fmt: skip
INFER = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["text", "x", ""]),
        "shape": st.lists(st.integers(-1, 3), max_size=3),
        "datatype": st.sampled_from(["BYTES", "INT64", "FP32", "BOOL", "?"]),
        "data": SOMETHING,
    }
).map(lambda one: {"inputs": [one]})
PATHS = ["/predict", "/feedback", "/v2/models/tickets/infer", "/v2/models/tickets/versions/a/infer"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(PATHS),
    SOMETHING.map(lambda one: json.dumps(one).encode())
    | INFER.map(lambda one: json.dumps(one).encode())
    | st.binary(max_size=40),
    st.sampled_from(["application/json", "multipart/form-data; boundary=a", "text/plain", ""]),
)
def test_whatever_comes_never_fails_the_server(client: Client, path: str, body: bytes, kind: str):
    answer = client.post(path, content=body, headers={"content-type": kind})
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert list(answer.json()) == ["error"]
        assert "\n" not in answer.json()["error"][:80]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_what_is_no_http_ends_in_an_answer_or_nothing(client: Client, told: bytes):
    end = b"\r\n\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: "
    whole, some = head + told.replace(b"\n", b"") + end, told + end + end
    for bytes_, patience in ((whole, 10.0), (some, 0.2)):  # what ends nowhere is waited for
        answer = raw(int(str(client.base_url).rpartition(":")[2]), bytes_, patience)
        assert b" 500 " not in answer.split(b"\r\n")[0]
    assert client.get("/v2/health/live").status_code == 200
