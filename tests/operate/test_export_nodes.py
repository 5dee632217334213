"""Runs on graphs: frozen, a graph answers as the run does for its own nodes and for new ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
import torch

import leaven
from leaven import exporting
from leaven.core.errors import DataError, RunError, SettingError
from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.label.queue import Queue, queue_names
from leaven.learn.encoder import ENCODERS, listed
from leaven.learn.front import Front
from leaven.learn.head import LinearHead
from leaven.learn.network import Network
from leaven.learn.predictor import Predictor
from leaven.operate.export.bundle import write_code, write_description
from leaven.operate.export.frozen_graph import joined_by
from leaven.operate.export.graph import quantised
from leaven.operate.export.network import described, graph_of
from leaven.operate.export.parity import as_new, on_nodes, required
from leaven.operate.export.runtime import opened
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.serve.models.answering import Settings
from leaven.serve.models.limits import Limits
from leaven.serve.models.loading import load
from leaven.store.store import Store
from tests.operate.test_export import ASK, process
from tests.serve.models.released import copied, eventually, release, served

CLASSES = ("a", "b", "c")
ENCODERS_OF_NODES = [name for name in listed() if ENCODERS[name].modality == "graph"]


def counts(folder: Path, n: int = 60, width: int = 12) -> Dataset:
    """Nodes with rare words, a class's own ones more often, and edges mostly within a class."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, n)
    words = rng.random((n, width)) < np.where(np.arange(width) % 3 == label[:, None], 0.4, 0.05)
    one = rng.integers(0, n, (2, 3 * n))
    kept = (one[0] != one[1]) & ((label[one[0]] == label[one[1]]) | (rng.random(3 * n) < 0.1))
    return written(
        folder,
        {"words": pa.FixedSizeListArray.from_arrays(words.astype(np.uint8).ravel(), width)},
        np.array(CLASSES)[label],
        one[:, kept],
    )


def mixed(folder: Path, n: int = 50) -> Dataset:
    """Nodes with cells of all kinds, some missing, and edges with weights."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, n)
    gaps = rng.random(n) < 0.2
    cells = {
        "size": pa.array(rng.normal(5, 2, n) + label, mask=gaps),
        "colour": pa.array(np.array(["red", "blue", "green"])[label], mask=gaps[::-1]),
        "open": pa.array(rng.random(n) < 0.5),
        "vector": pa.FixedSizeListArray.from_arrays(rng.normal(size=4 * n), 4),
    }
    one = rng.integers(0, n, (2, 2 * n))
    weight = rng.uniform(0.1, 4, 2 * n)
    return written(folder, cells, np.array(CLASSES)[label], one, weight)


def written(
    folder: Path, cells: dict[str, Any], label: Any, ends: Any, weight: Any = None
) -> Dataset:
    """As a user gives a graph; a third of the nodes has its label."""
    folder.mkdir()
    given = np.where(np.arange(len(label)) % 3 == 0, label, "")
    names = [f"n{i}" for i in range(len(label))]
    nodes = pa.table({"id": names, "label": pa.array(given)} | cells)
    pa.parquet.write_table(nodes, folder / "nodes.parquet")
    edges = {"source": [f"n{i}" for i in ends[0]], "target": [f"n{i}" for i in ends[1]]}
    edges |= {} if weight is None else {"weight": weight}
    pa_csv.write_csv(pa.table(edges), folder / "edges.csv")
    return Dataset.read(folder, label="label")


def model_of(name: str, dataset: Dataset) -> Predictor:
    """An encoder with random weights under a head."""
    front = Front.describe(dataset, None)
    arrays, _ = front.decode(dataset)
    torch.manual_seed(0)
    encoder = ENCODERS[name](**ENCODERS[name].configure(front.spec))
    encoder.prepare(arrays, np.arange(len(dataset)), 0)
    for key, bias in encoder.named_parameters():
        if key == "bias":
            torch.nn.init.normal_(bias, std=0.1)
    head = LinearHead(encoder.width, len(CLASSES))
    torch.nn.init.normal_(head.weight, std=8 / encoder.width**0.5)
    return Predictor(front, Network(encoder, head).eval(), CLASSES, 1.3)


def exported(predictor: Predictor, dataset: Dataset) -> Any:
    return opened(graph_of(predictor, dataset), described(predictor, dataset.columns, dataset))


@pytest.mark.parametrize("made", [counts, mixed])
@pytest.mark.parametrize("name", ENCODERS_OF_NODES)
def test_a_new_node_is_answered_as_by_the_run_on_the_graph_it_joined(
    name: str, made: Any, tmp_path: Path
) -> None:
    dataset = made(tmp_path / "data")
    predictor = model_of(name, dataset)
    model = exported(predictor, dataset)
    parity = required(on_nodes(predictor, model, dataset))
    assert (parity.records, parity.copies, parity.agreement) == (len(dataset), 4, 1)
    places = np.arange(0, len(dataset), 7)
    found, why = model.probabilities(as_new(dataset, places))
    wanted = [predictor.predict(joined_by(dataset, at))[1][-1] for at in places]
    assert not why
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    own = model.probabilities([{"node": dataset.ids[at]} for at in places])[0]
    assert np.abs(own - found).max() > 1e-3  # a copy changes its neighbours: it was passed anew
    _, why = model.probabilities([as_new(dataset, places[:1])[0] | {"neighbours": []}])
    assert why == {0: "no weights: they must be a list of numbers, one for each neighbour"}


def test_new_nodes_are_asked_each_by_itself_and_odd_ones_refused(tmp_path: Path) -> None:
    dataset = mixed(tmp_path / "data")
    predictor = model_of("gcn", dataset)
    model = exported(predictor, dataset)
    near = {"size": 5.0, "colour": "red", "neighbours": ["n1", "n4"]}
    bare = {"neighbours": ["n1"]}
    together = model.probabilities([near, "n3", bare, {"size": 5.0}, near])[0]
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(together[0], together[4])
    np.testing.assert_array_equal(together[0], model.probabilities([near])[0][0])
    np.testing.assert_array_equal(together[1], model.probabilities([{"node": "n3"}])[0][0])
    odd: dict[str, Any] = {
        "unknown node: 'n99'": {"node": "n99"},
        "unknown node: True": {"node": True},
        "unknown node: ['n1']": {"node": ["n1"]},
        "empty record": {},
        "unknown neighbour: 'n99'": near | {"neighbours": ["n1", "n99"]},
        "repeated neighbour": near | {"neighbours": ["n1", "n1"]},
        "no neighbours: they must be a list": near | {"neighbours": "n1"},
        "no neighbours: ": near | {"neighbours": [{}]},
        "no weights: they must be a list of numbers, one": near | {"weights": [1]},
        "no weights: they must be numbers": near | {"weights": [1, "2"]},
        "no weight: it must be": near | {"weights": [1, -1]},
        "no weight: it": near | {"weights": [1, float("inf")]},
        "no weight: ": near | {"weights": [1, 1e300]},
        "not numbers": near | {"vector": ["x"] * 4},
        "wrong width: expected 4 numbers, got 3": near | {"vector": [1, 2, 3]},
        "no cell: 'size' needs": near | {"size": [1]},
        "no record": 7.5,
    }
    found, why = model.probabilities(list(odd.values()))
    assert np.isnan(found).all()
    for place, begins in enumerate(odd):
        assert why[place].startswith(begins), why[place]


@pytest.mark.parametrize("method", ["label-spreading", "correct-smooth"])
def test_spread_labels_answer_for_the_nodes_of_their_graph(method: str, tmp_path: Path) -> None:
    counts(tmp_path / "data")
    run = leaven.fit(tmp_path / "data", label="label", method=method, out=tmp_path / "runs")
    dataset = run.records()
    arms = [Predictor.load(run.folder / name) for name in ("model", "compared")]
    [spread] = [one for one in arms if one.network.encoder.name == "graph-answers"]
    about = described(spread, dataset.columns, dataset)
    there = tmp_path / "there"
    there.mkdir()
    (there / "model.onnx").write_bytes(graph_of(spread, dataset))
    write_description(there, about)
    write_code(there, about, "onnx", "0")
    assert quantised(graph_of(spread, dataset)) == graph_of(spread, dataset)
    found, _ = process(there, ASK, [{"node": "n7"}, "n8", {"words": [1] * 12}])
    wanted = dict(zip(dataset.ids, spread.predict(dataset)[1], strict=True))
    np.testing.assert_allclose(found[:2], [wanted["n7"], wanted["n8"]], atol=1e-6)
    assert np.isnan(found[2]).all()
    assert on_nodes(spread, opened(graph_of(spread, dataset), about), dataset).records == 60


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("nodes")
    counts(home / "data")
    return leaven.fit(home / "data", label="label", method="self-training", out=home / "runs")


def test_what_eight_bits_lose_is_told_on_nodes_asked_as_new(run: Run, tmp_path: Path) -> None:
    told = exporting.export(run, "edge", out=tmp_path / "there")
    assert told["loss"]["agreement"]["n"] == 40  # those without a label
    assert '{"node": ' in (tmp_path / "there" / "README.md").read_text()
    asked = as_new(run.records(), np.array([5]))
    found, modules = process(tmp_path / "there", ASK, asked)
    assert abs(sum(found[0]) - 1) < 1e-5
    assert "scipy" not in modules


def test_the_graph_may_be_another_and_must_be_there(run: Run, tmp_path: Path) -> None:
    other = counts(tmp_path / "other", n=90)
    told = exporting.export(run, data=tmp_path / "other", out=tmp_path / "there")
    assert told["parity"]["records"] == 90
    assert "90 records of the data and 4 copies of them, asked as new nodes," in told["sentence"]
    [found], _ = process(tmp_path / "there", ASK, ["n77"])
    wanted = dict(zip(other.ids, run.predict(other), strict=True))
    np.testing.assert_allclose(found, wanted["n77"], atol=1e-5)
    place = Path(run.records().source)
    place.rename(place.with_name("gone"))
    try:
        with pytest.raises(DataError, match="Say with --data where it is"):
            exporting.export(run, out=tmp_path / "other-there")
    finally:
        place.with_name("gone").rename(place)


def test_a_server_answers_own_nodes_and_new_ones(run: Run, tmp_path: Path) -> None:
    store = str(tmp_path / "leaven.db")
    one = copied(run, tmp_path, "one", 1.0)
    release(one, store, service="t")
    dataset = run.records()
    wanted = dict(zip(dataset.ids, run.predict(dataset), strict=True))
    near = {"neighbours": ["n1", "n4"]}
    with served(store, "t", settings=Settings(abstain=1.0)) as client:
        told = client.post("/predict", json={"records": [{"node": "n3"}, near]}).json()
        own, new = told["predictions"]
        assert list(own["probabilities"].values()) == pytest.approx(wanted["n3"], abs=1e-5)
        assert own["input"] == dataset.content[dataset.ids.tolist().index("n3")]
        assert new["input"] not in set(dataset.content)
        bare = client.post("/predict", json="n3").json()["predictions"][0]
        assert bare["probabilities"] == own["probabilities"]
        asked = {"name": "node", "datatype": "BYTES", "shape": [2], "data": ["n3", "n4"]}
        infer = client.post("/v2/models/t/infer", json={"inputs": [asked]}).json()
        assert infer["outputs"][0]["data"][0] == own["label"]
        assert client.get("/v2/models/t").json()["inputs"] == [
            {"name": "node", "datatype": "BYTES", "shape": [-1]}
        ]
        for odd, says in (
            ({"node": "n99"}, "Record 1 cannot be read: unknown node: 'n99'"),
            ({"nod": "n1"}, "none of the model's columns: neighbours, node, weights, words. Did"),
            ({"neighbours": ["n1"] * 2}, "repeated neighbour: each counts once"),
            ({"words": [1] * 12, "neighbours": 7}, "must be a list of ids"),
            ([["n1"]], "A request is a record"),
        ):
            answer = client.post("/predict", content=json.dumps(odd))
            assert (answer.status_code, says in answer.json()["error"]) == (422, True), answer.text
        assert eventually(lambda: queue_names(Store(store)) == ["t"])
    shown = [one.shown["cells"] for one in Queue(Store(store), "t").lease("ada", 3)]
    assert [{"name": "node", "value": "n3"}] in shown
    (one.folder / "model" / "portable" / "model.onnx").unlink()
    with pytest.raises(RunError, match="was changed|is missing"):
        load(Registry(Store(store)), Releases(Store(store), "t").state().live, Limits())


def test_without_its_graph_a_run_of_nodes_is_not_served(run: Run, tmp_path: Path) -> None:
    one = copied(run, tmp_path, "one", 1.0)
    told = json.loads((one.folder / "run.json").read_text())
    told["dataset"]["source"] = str(tmp_path / "nowhere")
    (one.folder / "run.json").write_text(json.dumps(told))
    store = str(tmp_path / "leaven.db")
    release(Run.load(one.folder), store, service="t")
    with pytest.raises(DataError, match="when it was released its graph was not at hand"):
        load(Registry(Store(store)), Releases(Store(store), "t").state().live, Limits())


def test_a_column_by_a_name_of_requests_is_refused(tmp_path: Path) -> None:
    n = 20
    ends = np.array([np.arange(n - 1), np.arange(1, n)])
    dataset = written(
        tmp_path / "data",
        {"weights": pa.array(np.arange(n) * 1.0)},
        np.array(["a", "b"] * 10),
        ends,
    )
    predictor = model_of("gcn", dataset)
    with pytest.raises(SettingError, match="No column of a graph's nodes may be called node, "):
        described(predictor, dataset.columns, dataset)
