"""Each encoder and each head says the same as a graph as it says itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from leaven.core.errors import SettingError
from leaven.data.arrays import Arrays
from leaven.learn.contracts.made_records import MADE_RECORDS
from leaven.learn.encoder import ENCODERS, listed
from leaven.learn.front import Front
from leaven.learn.head import HEADS, Head, LinearHead
from leaven.learn.heads.blend import BlendHead
from leaven.learn.heads.block import BlockHead
from leaven.learn.heads.committee import CommitteeHead
from leaven.learn.heads.forest import ForestHead
from leaven.learn.heads.kernel import KernelHead
from leaven.learn.heads.mlp import MLPHead
from leaven.learn.heads.neighbours import NeighbourHead
from leaven.learn.heads.normalised import NormalisedHead
from leaven.learn.network import Network
from leaven.learn.predictor import Predictor
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS
from leaven.operate.export.graph import Graph, quantised
from leaven.operate.export.head_kinds import HEAD_GRAPHS, headed
from leaven.operate.export.network import described, graph_of
from leaven.operate.export.parity import made_arrays, on_arrays, on_records, required
from leaven.operate.export.runtime import opened

CLASSES = ("a", "b", "c", "d")
WIDTH = 24
#: The same layers as another's, larger: their graphs are built by the same code.
LARGER = {"resnet-50", "resnet-18", "text-transformer-large", "tcn-large", "vit-tiny"}
#: Not to be chosen by name, yet in models.
BLOCKS = ["series-blocks", "image-blocks"]


def model_of(name: str, count: int = 24) -> tuple[Predictor, Any]:
    """A model with random weights that has seen made records, and these."""
    kind = ENCODERS[name]
    dataset, _ = MADE_RECORDS[kind.modality](count, 0)
    front = Front.describe(dataset, None)
    arrays, _ = front.decode(dataset)
    torch.manual_seed(0)
    encoder = kind(**kind.configure(front.spec))
    encoder.prepare(arrays, np.arange(count), 0)
    for name, buffer in encoder.named_buffers():  # as if batches had been seen
        if name.endswith("variance"):
            buffer.uniform_(0.5, 2)
    head = LinearHead(encoder.width, len(CLASSES))
    torch.nn.init.normal_(head.weight, std=3 / encoder.width**0.5)
    network = Network(encoder, head).eval()
    return Predictor(front, network, CLASSES, 1.3, (0.25,) * 4, (0.4, 0.2, 0.2, 0.2)), dataset


@pytest.mark.parametrize(
    "name",
    [n for n in listed() if ENCODERS[n].modality != "graph" and n not in LARGER] + BLOCKS,
)
def test_an_encoder_answers_alike_as_a_graph(name: str) -> None:
    predictor, dataset = model_of(name)
    model = opened(graph_of(predictor), described(predictor, dataset.columns))
    real = required(on_records(predictor, model, dataset))
    assert (real.records, real.agreement) == (len(dataset), 1)
    made = required(on_arrays(predictor, model, made_arrays(predictor, 16)))
    assert made.records == 16
    spread = predictor.predict(dataset)[1].std(0).max()
    assert spread > 100 * max(real.largest, made.largest)  # or equal answers would say nothing


def test_a_residual_network_with_the_stem_of_large_pictures() -> None:
    kind = ENCODERS["resnet-18"]
    encoder = kind(channels=3, blocks=[1, 1, 1, 1], bottleneck=True, large=True)
    head = LinearHead(encoder.width, 4)
    torch.nn.init.normal_(head.weight)
    front = Front("image", {"channels": 3, "height": 65, "width": 70})
    predictor = Predictor(front, Network(encoder, head).eval(), CLASSES)
    about = {
        "format": 1,
        "modality": "image",
        "spec": front.spec,
        "columns": {},
        "classes": CLASSES,
    }
    model = opened(graph_of(predictor), about)
    required(on_arrays(predictor, model, made_arrays(predictor, 3)))


@pytest.mark.parametrize("usual", [0, 13])
@pytest.mark.parametrize("name", ["rocket", "hydra", "intervals", "steps", "tcn-tiny"])
def test_series_of_several_channels_with_gaps(name: str, usual: int) -> None:
    rng = np.random.default_rng(0)
    spec = {"column": "series", "channels": 3, "length": 21, "usual": usual}
    values = rng.normal(size=(20, 21, 3)).astype(np.float32)
    there = (rng.random((20, 21, 3)) < 0.8).astype(np.uint8)
    there[:, 15:, 1] = 0
    there *= np.arange(21)[:, None] < rng.integers(1, 22, (20, 1, 1))
    arrays = Arrays({"values": values * there, "there": there})
    kind = ENCODERS[name]
    torch.manual_seed(0)
    encoder = kind(**kind.configure(spec))
    encoder.prepare(arrays, np.arange(20), 0)
    head = LinearHead(encoder.width, 4)
    torch.nn.init.normal_(head.weight)
    predictor = Predictor(Front("series", spec), Network(encoder, head).eval(), CLASSES)
    about = {"format": 1, "modality": "series", "spec": spec, "columns": {}, "classes": CLASSES}
    parity = required(on_arrays(predictor, opened(graph_of(predictor), about), arrays))
    assert parity.records == 20


def features(count: int = 150) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(count, WIDTH)) + 3).astype(np.float32)
    return x, (x[:, 0] > 3).astype(int) + (x[:, 1] > 3)


def neighbours(count: int, unit: bool) -> NeighbourHead:
    rng = np.random.default_rng(1)
    reference = (rng.normal(size=(count, WIDTH)) + 3 * (not unit)).astype(np.float32)
    if unit:
        reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    scale = rng.uniform(0.5, 1, count).astype(np.float32)
    return NeighbourHead.of(
        reference, scale, rng.dirichlet(np.ones(3), count).astype(np.float32), 10, unit
    )


def kernel(kind: str, gamma: float) -> KernelHead:
    head = KernelHead(40, WIDTH, 3, kind, gamma, 3)
    head.landmarks.copy_(torch.from_numpy(features()[0][:40]))
    head.coefficients.normal_(0, 0.1)
    return head


def normalised() -> NormalisedHead:
    head = NormalisedHead(WIDTH, 3)
    state = head.norm.state_dict()
    state["running_mean"].normal_(3)
    state["running_var"].uniform_(0.5, 2)
    return head


def committee() -> CommitteeHead:
    head = CommitteeHead(4, WIDTH, 3)
    torch.nn.init.normal_(head.weight, std=0.3)
    return head


def trees(kind: Any, **settings: Any) -> ForestHead:
    return ForestHead.of(kind(random_state=0, **settings).fit(*features()), 3)


def mixed() -> BlendHead:
    members = [LinearHead(WIDTH, 3), trees(RandomForestClassifier, n_estimators=5)]
    members += [neighbours(60, True), kernel("rbf", 0.05)]
    return BlendHead.of(members, [0.5, 0.2, 0.3, 0.0], [1.0, 2.0, 0.5, 1.0])


HEADS_MADE = {
    "linear": lambda: LinearHead(WIDTH, 3),
    "mlp": lambda: MLPHead(WIDTH, 8, 3),
    "normalised": normalised,
    "committee": committee,
    "random forest": lambda: trees(RandomForestClassifier, n_estimators=20),
    "extra trees": lambda: trees(ExtraTreesClassifier, n_estimators=10, max_depth=4),
    "rbf": lambda: kernel("rbf", 0.05),
    "poly": lambda: kernel("poly", 0.01),
    "neighbours": lambda: neighbours(80, False),
    "fewer than k": lambda: neighbours(5, False),
    "unit neighbours": lambda: neighbours(80, True),
    "cells": lambda: neighbours(8300, False),
    "block": lambda: BlockHead.of(LinearHead(7, 3), 3, 10),
    "blend": mixed,
}


@pytest.mark.parametrize("name", HEADS_MADE)
def test_a_head_answers_alike_as_a_graph(name: str) -> None:
    torch.manual_seed(0)
    head: Head = HEADS_MADE[name]().eval()
    graph = Graph()
    output = headed(graph.input("features", np.float32, ["n", WIDTH]), head).softmax()
    about = {"format": 1, "modality": "embedding", "spec": {}, "columns": {}, "classes": "abc"}
    model = opened(graph.model(output, "probabilities", ["n", 3]), about)
    x = features()[0] + np.float32(0.1)
    with torch.inference_mode():
        wanted = head(torch.from_numpy(x)).softmax(-1).numpy()
    np.testing.assert_allclose(model.answers({"features": x}), wanted, atol=1e-5)


def test_all_kinds_of_head_have_a_graph_or_are_known_to_have_none() -> None:
    assert {name for name, _ in HEADS.items()} - {name for name, _ in HEAD_GRAPHS.items()} == {
        "bare",
        "in-context",
    }
    assert not [name for name in [*listed(), *BLOCKS] if name not in ENCODER_GRAPHS]


def test_a_part_without_a_graph_is_named() -> None:
    predictor, _ = model_of("standardised")
    predictor.network.head = HEADS["bare"](64)
    with pytest.raises(SettingError, match="Got 'bare'. This head has no exported form"):
        graph_of(predictor)
    elsewhere = Predictor(
        Front("text", {}, {"name": "all-MiniLM", "width": 4}), predictor.network, CLASSES
    )
    with pytest.raises(SettingError, match="Got 'all-MiniLM'. This encoder"):
        graph_of(elsewhere)


def test_eight_bits_leave_quantiles_and_small_constants_as_they_are() -> None:
    predictor, _ = model_of("tabular-standard")
    whole = graph_of(predictor)
    assert quantised(whole) == whole
    predictor, dataset = model_of("small-convnet")
    whole = graph_of(predictor)
    small = quantised(whole)
    assert len(small) < 0.35 * len(whole)
    about = described(predictor, dataset.columns)
    assert on_records(predictor, opened(small, about), dataset).largest < 0.05
