"""Encoders and methods of given graphs against dense transcriptions of the papers' formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import leaven
from leaven.core.errors import SettingError
from leaven.core.recipe import Training
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Spec
from leaven.learn.classic.correct_smooth import CorrectSmooth
from leaven.learn.encoder import ENCODERS, Encoder, encode
from leaven.learn.head import LinearHead
from leaven.learn.message_passing import adjacency
from leaven.learn.method import METHODS, Problem
from leaven.learn.models.graph_answers import answering
from leaven.learn.network import Network
from leaven.learn.objective import concatenate
from leaven.learn.plan import suited

Floats = npt.NDArray[np.float64]
VIEWS = MODALITIES["graph"]
TRAINED = ("appnp", "gat", "gcn", "grand")
SIZE, WIDTH = 14, 6


def decoded(seed: int = 0) -> tuple[Dataset, Spec, Arrays]:
    """Nodes in a ring with chords; the last one stands alone."""
    rng = np.random.default_rng(seed)
    ring = np.arange(SIZE - 1)
    edges = np.stack([ring, (ring + 1) % (SIZE - 1)])
    chords = rng.integers(0, SIZE - 1, (2, 8))
    features = rng.normal(size=(SIZE, WIDTH)).astype(np.float32)
    dataset = Dataset.from_arrays(features, edges=np.concatenate([edges, chords], 1))
    spec = VIEWS.describe(dataset)
    return dataset, spec, VIEWS.decode(dataset, spec)[0]


def dense(arrays: Arrays) -> tuple[Floats, Floats]:
    """The adjacency with loops (n, n) and the features (n, w), entry by entry."""
    graph, x = np.zeros((SIZE, SIZE)), np.zeros((SIZE, WIDTH))
    for (into, source), strength in zip(arrays["@edges"].T, arrays["@strength"], strict=True):
        graph[into, source] = strength
    starts = [*arrays["@offsets"], len(arrays["@values"])]
    for node in range(SIZE):
        for place in range(int(starts[node]), int(starts[node + 1])):
            x[node, arrays["@columns"][place]] = arrays["@values"][place]
    return graph, x


def normalised(graph: Floats) -> Floats:
    degree = graph.sum(1)
    walk = np.zeros_like(graph)
    for i in range(SIZE):
        for j in range(SIZE):
            walk[i, j] = graph[i, j] / np.sqrt(degree[i] * degree[j])
    return walk


def weights(encoder: nn.Module) -> dict[str, Floats]:
    return {n: p.detach().numpy().astype(np.float64) for n, p in encoder.named_parameters()}


def built(name: str, spec: Spec) -> Encoder:
    torch.manual_seed(3)
    encoder = ENCODERS[name](**ENCODERS[name].configure(spec))
    for parameter in encoder.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter)  # a bias of zero would hide that it is missing
    return encoder.eval()


def plain(arrays: Arrays, rows: list[int] | None = None) -> Batch:
    return VIEWS.plain(arrays.batch(np.arange(SIZE) if rows is None else np.array(rows)))


def gcn(w: dict[str, Floats], walk: Floats, x: Floats, graph: Floats) -> Floats:
    return walk @ np.maximum(walk @ x @ w["first.weight"] + w["bias"], 0)


def appnp(w: dict[str, Floats], walk: Floats, x: Floats, graph: Floats) -> Floats:
    hidden = np.maximum(x @ w["first.weight"] + w["bias"], 0)
    spread = hidden.copy()
    for _ in range(10):
        spread = 0.9 * walk @ spread + 0.1 * hidden
    return spread


def grand(w: dict[str, Floats], walk: Floats, x: Floats, graph: Floats) -> Floats:
    mixed = sum((np.linalg.matrix_power(walk, k) @ x for k in range(9)), np.zeros_like(x)) / 9
    return np.maximum(mixed @ w["first.weight"] + w["bias"], 0)


def gat(w: dict[str, Floats], walk: Floats, x: Floats, graph: Floats) -> Floats:
    def layer(values: Floats, own: Floats, other: Floats) -> Floats:
        heads, units = own.shape
        out = np.zeros_like(values)
        for head in range(heads):
            part = values[:, head * units : (head + 1) * units]
            for i in range(SIZE):
                near = [j for j in range(SIZE) if graph[i, j]]
                score = [part[i] @ own[head] + part[j] @ other[head] for j in near]
                raised = np.array(
                    [
                        graph[i, j] * np.exp(s if s > 0 else 0.2 * s)
                        for j, s in zip(near, score, strict=True)
                    ]
                )
                share = raised / raised.sum()
                out[i, head * units : (head + 1) * units] = sum(
                    a * part[j] for a, j in zip(share, near, strict=True)
                )
        return out

    hidden = layer(x @ w["first.weight"], w["own"], w["other"]) + w["bias"]
    hidden = np.where(hidden > 0, hidden, np.expm1(np.minimum(hidden, 0)))
    return layer(hidden, w["last_own"], w["last_other"])


ORACLES: dict[str, Callable[..., Floats]] = {"appnp": appnp, "gat": gat, "gcn": gcn, "grand": grand}


@pytest.mark.parametrize("name", TRAINED)
def test_an_encoder_equals_its_dense_transcription(name: str):
    _, spec, arrays = decoded()
    graph, x = dense(arrays)
    encoder = built(name, spec)
    expected = ORACLES[name](weights(encoder), normalised(graph), x, graph)
    with torch.no_grad():
        found = encoder(plain(arrays)).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_hops_are_smoothed_centred_and_of_unit_length():
    _, spec, arrays = decoded()
    graph, x = dense(arrays)
    encoder = built("graph-hops", spec)
    encoder.prepare(arrays, np.arange(5), 0)
    walk = normalised(graph)
    smooth = walk @ (walk @ x)
    centred = smooth - smooth[:5].mean(0)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder(plain(arrays)).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_equal_finite_differences(name: str):
    """On every weight, through sparse products whose gradients are not taken for granted."""
    _, spec, arrays = decoded()
    encoder = built(name, spec).double()
    batch = {n: t.double() if t.is_floating_point() else t for n, t in plain(arrays).items()}
    direction = torch.randn(SIZE, encoder.width, dtype=torch.float64)
    (encoder(batch) * direction).sum().backward()
    rng = np.random.default_rng(0)
    for parameter in encoder.parameters():
        assert parameter.grad is not None
        flat, slopes = parameter.data.view(-1), parameter.grad.reshape(-1)
        for place in rng.integers(0, len(flat), 4).tolist():
            before, step = float(flat[place]), 1e-6
            said = []
            for moved in (before + step, before - step):
                flat[place] = moved
                with torch.no_grad():
                    said.append(float((encoder(batch) * direction).sum()))
            flat[place] = before
            slope = (said[0] - said[1]) / (2 * step)
            assert slope == pytest.approx(float(slopes[place]), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", [*TRAINED, "graph-hops"])
def test_an_answer_does_not_depend_on_who_else_is_asked(name: str):
    _, spec, arrays = decoded()
    encoder = built(name, spec)
    with torch.no_grad():
        all_of_them = encoder(plain(arrays))
        some = encoder(plain(arrays, [5, 2, 5]))
    torch.testing.assert_close(some, all_of_them[[5, 2, 5]])


@pytest.mark.parametrize("name", TRAINED)
def test_views_joined_in_one_batch_are_views_taken_one_by_one(name: str):
    _, spec, arrays = decoded()
    encoder = built(name, spec)
    rng = torch.Generator().manual_seed(0)
    views = [
        VIEWS.strong(arrays.batch(np.array([1, 7, 3])), spec, rng),
        plain(arrays, [0, 7]),
        VIEWS.weak(arrays.batch(np.array([13, 2])), spec, rng),
    ]
    with torch.no_grad():
        together = encoder(concatenate(*views))
        apart = torch.cat([encoder(view) for view in views])
    torch.testing.assert_close(together, apart)
    assert not torch.allclose(together[1], together[4])  # node 7, strong and plain


def test_a_strong_view_is_the_graph_without_the_features_of_some_nodes():
    _, spec, arrays = decoded()
    graph, x = dense(arrays)
    encoder = built("gcn", spec)
    view = VIEWS.strong(arrays.batch(np.arange(SIZE)), spec, torch.Generator().manual_seed(4))
    stays = torch.rand((SIZE, 1), generator=torch.Generator().manual_seed(int(view["view"][0])))
    dropped = x * (stays.numpy() >= 0.5) / 0.5
    with torch.no_grad():
        found = encoder(view).numpy()
    np.testing.assert_allclose(
        found, gcn(weights(encoder), normalised(graph), dropped, graph), atol=2e-5
    )


def test_a_joined_batch_has_the_shared_arrays_once():
    _, spec, arrays = decoded()
    views = [
        plain(arrays, [1, 2]),
        VIEWS.strong(arrays.batch(np.array([3])), spec, torch.Generator()),
    ]
    joined = concatenate(*views)
    assert joined["node"].tolist() == [1, 2, 3]
    assert joined["@edges"] is views[0]["@edges"]
    assert joined["drop"].tolist() == [0.0, 0.0, 0.5]


def test_all_rows_are_encoded_in_one_pass(monkeypatch: pytest.MonkeyPatch):
    _, spec, arrays = decoded()
    encoder = built("gcn", spec)
    passes: list[int] = []
    whole = encoder.nodes
    monkeypatch.setattr(encoder, "nodes", lambda graph: passes.append(graph.size) or whole(graph))
    found = encode(encoder, arrays, np.arange(SIZE), VIEWS.plain, block=4)
    assert passes == [SIZE]
    assert found.shape == (SIZE, encoder.width)


def test_training_settings_left_open_are_those_of_the_encoder():
    given = suited(Training(rate=0.5), "gcn")
    assert given.rate == 0.5
    assert given.labelled_batch == ENCODERS["gcn"].trained_by["labelled_batch"]
    assert suited(Training(), "mlp") == Training()


# --- Correct and Smooth ---------------------------------------------------------------------------


def test_correct_and_smooth_follow_the_paper_step_by_step():
    _, _, arrays = decoded()
    rng = np.random.default_rng(1)
    base = rng.dirichlet(np.ones(3), SIZE)
    seeds = np.zeros((SIZE, 3))
    for node, answer in [(0, 1), (4, 0), (9, 2), (13, 1)]:
        seeds[node, answer] = 1
    graph, _ = dense(arrays)
    np.fill_diagonal(graph, 0)
    degree = graph.sum(1)
    known = seeds.sum(1) > 0
    error = np.zeros((SIZE, 3))
    for i in range(SIZE):
        if known[i]:
            error[i] = seeds[i] - base[i]

    def spread(start: Floats, share: float) -> Floats:
        now = start.copy()
        for _ in range(7):
            new = (1 - share) * start
            for i in range(SIZE):
                for j in range(SIZE):
                    if graph[i, j]:
                        new[i] += share * graph[i, j] / np.sqrt(degree[i] * degree[j]) * now[j]
            now = new
        return now

    moved = spread(error, 0.7)
    scale = np.mean([np.abs(error[i]).sum() for i in range(SIZE) if known[i]])
    corrected = base.copy()
    for i in range(SIZE):
        size = np.abs(moved[i]).sum()
        if known[i]:
            corrected[i] = seeds[i]
        elif size > 1e-12:
            corrected[i] = base[i] + scale * moved[i] / size
    expected = np.maximum(spread(corrected, 0.6), 0)
    method = CorrectSmooth(correct=0.7, smooth=0.6, rounds=7)
    found = method.scores(adjacency(plain(arrays)), seeds, base).values
    np.testing.assert_allclose(found, expected, atol=1e-9)


def problem(dataset: Dataset, encoder: str, seed: int = 0) -> Problem:
    spec = VIEWS.describe(dataset)
    return Problem(
        arrays=VIEWS.decode(dataset, spec)[0],
        spec=spec,
        modality="graph",
        task="classification",
        classes=len(dataset.classes),
        targets=dataset.targets,
        train=dataset.labelled,
        unlabelled=dataset.unlabelled,
        encoder=encoder,
        seed=seed,
    )


def blocks(
    n: int = 120, labelled: int = 24, seed: int = 0
) -> tuple[Dataset, npt.NDArray[np.int64]]:
    """A stochastic block model of three groups with weak features, and the truth."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    alike = truth[:, None] == truth
    drawn = np.triu(rng.random((n, n)) < np.where(alike, 10 / n, 1 / n), 1)
    features = np.eye(3)[truth] + 1.2 * rng.normal(size=(n, 3))
    labels = [f"g{t}" if i < labelled else None for i, t in enumerate(truth)]
    edges = np.stack(np.nonzero(drawn))
    return Dataset.from_arrays(features, labels, edges=edges), truth


def fitted(method: str, problem: Problem, checkpoint: Path | None = None) -> Network:
    fit = METHODS[method].fit(problem, checkpoint)
    while True:
        try:
            next(fit)
        except StopIteration as done:
            network: Network = done.value
            return network


def test_labelled_nodes_are_known_by_their_id_in_another_graph(tmp_path: Path):
    dataset, truth = blocks()
    network = fitted("correct-smooth", problem(dataset, "graph-hops"))
    network.save(tmp_path)
    network = Network.load(tmp_path)
    order = np.random.default_rng(0).permutation(len(dataset))
    spec = VIEWS.describe(dataset)
    one = network.logits(VIEWS.decode(dataset, spec)[0])
    other = network.logits(VIEWS.decode(dataset.select(order), spec)[0])
    np.testing.assert_allclose(other, one[order], atol=1e-5)
    assert (one.argmax(1) == truth).mean() > 0.8


def test_a_method_without_a_base_gets_graph_and_seeds(monkeypatch: pytest.MonkeyPatch):
    """`answering` serves whatever has `scores(graph, seeds)` and `probabilities(values, seeds)`."""
    seen: list[Any] = []

    class Solved:
        def __init__(self, values: Floats) -> None:
            self.values = values

    class Once:
        def scores(self, graph: Any, seeds: Floats) -> Solved:
            seen.append((graph, seeds))
            return Solved(graph @ seeds)

        def probabilities(self, values: Floats, seeds: Floats) -> Floats:
            return (values + 0.1) / (values + 0.1).sum(1, keepdims=True)

    monkeypatch.setitem(METHODS._entries, "once", Once())
    dataset, _ = blocks(30, 6)
    given = problem(dataset, "graph-hops")
    network = answering(given, "once", {})
    logits = network.logits(given.arrays)
    graph, seeds = seen[0]
    assert seeds.sum() == 6
    assert graph.diagonal().sum() == 0
    counted = np.asarray(graph @ seeds) + 0.1
    expected = counted / counted.sum(1, keepdims=True)
    np.testing.assert_allclose(np.exp(logits), expected, rtol=1e-4)


def test_a_base_is_saved_with_the_answers():
    dataset, _ = blocks(30, 6)
    given = problem(dataset, "graph-hops")
    head = LinearHead(3, 3)
    network = answering(given, "correct-smooth", {"correct": 0.0}, head)
    named = dict(network.named_buffers())
    assert named["encoder.keys"].shape == (6,)
    assert torch.equal(dict(network.named_parameters())["encoder.first.weight"], head.weight)


# --- from files to predictions --------------------------------------------------------------------


def write(folder: Path, dataset: Dataset, truth: npt.NDArray[np.int64]) -> Path:
    folder.mkdir()
    x = np.array(dataset.records["features"].to_pylist())
    labels = dataset.labels.to_pylist()
    lines = [
        ",".join([f"n{i}", *(f"{v:.5f}" for v in x[i]), labels[i] or ""]) for i in range(len(x))
    ]
    (folder / "nodes.csv").write_text("\n".join(["id,a,b,c,kind", *lines]))
    assert dataset.edges is not None
    ends = zip(*(dataset.edges[n].to_pylist() for n in ("source", "target")), strict=True)
    (folder / "edges.csv").write_text(
        "\n".join(["source,target", *(f"n{a},n{b}" for a, b in ends)])
    )
    return folder


@pytest.mark.parametrize("method", ["correct-smooth", "mean-teacher"])
def test_a_graph_is_checked_fitted_and_predicted_with_further_nodes(tmp_path: Path, method: str):
    dataset, truth = blocks(150)
    early = write(tmp_path / "early", dataset.select(np.arange(120)), truth)
    later = write(tmp_path / "later", dataset, truth)
    told = leaven.check(early, label="kind")
    assert told["dataset"]["modality"] == "graph"
    assert "check-failed" not in {f["name"] for f in told["findings"]}
    run = leaven.fit(early, label="kind", method=method, budget="60 steps", out=tmp_path / "runs")
    assert run.story["dataset"]["records"] == 120
    predictions = leaven.predict(run, later)
    found = predictions.table.to_pydict()
    assert found["id"] == [f"n{i}" for i in range(150)]
    right = [named == f"g{t}" for named, t in zip(found["prediction"], truth, strict=True)]
    assert np.mean(right[120:]) > 0.6
    again = leaven.fit(early, label="kind", method=method, budget="60 steps", out=tmp_path / "runs")
    assert again.folder == run.folder
    assert "neighbours" in run.report().read_text()


def test_a_fit_that_was_cut_off_ends_on_the_same_weights(tmp_path: Path):
    """Views of the graph are drawn anew from the seed and the step."""
    dataset, _ = blocks()
    given = replace(problem(dataset, "grand"), steps=12)
    whole = fitted("grand", given)
    checkpoint = tmp_path / "checkpoint.safetensors"
    fit = METHODS["grand"].fit(given, checkpoint)
    for step in fit:
        if step.number == 5:
            assert step.state is not None
            step.state.save(checkpoint)
            break
    fit.close()
    resumed = fitted("grand", given, checkpoint)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_method_of_graphs_refuses_other_records(tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(40, 4))
    dataset = Dataset.from_arrays(x, [i % 2 if i < 20 else -1 for i in range(40)])
    with pytest.raises(SettingError, match="correct-smooth is for: graph"):
        leaven.fit(dataset, method="correct-smooth", out=tmp_path)
