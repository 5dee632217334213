"""What contrastive methods remember, against plain lists and dictionaries."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from leaven.learn.memory import LabelledMemory, Projection, Queue
from tests.learn.oracle_parts import CLASSES, Floats, certain, softmax

SIZE = 5

#: Labels by record, and which of the records are labelled; a place is a place among the latter.
TARGETS = np.array([-1, 2, 0, -1, 1, 1, 3, 0, -1])
TRAIN = np.array([1, 2, 4, 5, 6, 7])


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 7))
def test_the_queue_keeps_the_last_and_recalls_their_mean(pushed: list[int], places: int):
    rng = np.random.default_rng(0)
    queue = Queue(places, SIZE, CLASSES).double()
    kept: list[tuple[Floats, Floats]] = []
    query = rng.normal(size=(3, SIZE))
    assert not queue.recall(torch.tensor(query), 0.5).any()
    for count in pushed:
        keys, values = rng.normal(size=(count, SIZE)), rng.random((count, CLASSES))
        queue.push(torch.tensor(keys), torch.tensor(values))
        kept = [*kept, *zip(keys, values, strict=True)][-places:]
    found = queue.recall(torch.tensor(query), 0.5).numpy()
    for row, one in zip(found, query, strict=True):
        wanted = np.zeros(CLASSES)
        if kept:
            near = softmax(np.array([key @ one / 0.5 for key, _ in kept]))
            for share, (_, value) in zip(near, kept, strict=True):
                wanted += share * value
        np.testing.assert_allclose(row, wanted, rtol=1e-9, atol=1e-12)


@given(st.lists(st.lists(st.integers(0, len(TRAIN) - 1), min_size=1, max_size=5), min_size=1))
def test_the_labelled_memory_keeps_each_records_last_vector(visits: list[list[int]]):
    rng = np.random.default_rng(1)
    problem: Any = SimpleNamespace(targets=TARGETS, train=TRAIN, classes=CLASSES)
    memory = LabelledMemory(problem, SIZE).double()
    kept: dict[int, Floats] = {}
    for places in visits:
        keys = rng.normal(size=(len(places), SIZE))
        memory.write(torch.tensor(places), torch.tensor(keys))
        for place in set(places):
            mean = sum(key for key, other in zip(keys, places, strict=True) if other == place)
            kept[place] = mean / np.linalg.norm(mean)
    query = rng.normal(size=(2, SIZE))
    found = memory.similarity(torch.tensor(query), 0.3).exp().numpy()
    known = sorted(kept)
    for row, one in zip(found, query, strict=True):
        wanted = np.zeros(len(TRAIN))
        wanted[known] = softmax(np.array([kept[place] @ one / 0.3 for place in known]))
        np.testing.assert_allclose(row, wanted, rtol=1e-9)
    np.testing.assert_array_equal(memory.labels.numpy(), [certain(TARGETS[r]) for r in TRAIN])


def test_memories_hold_no_graph():
    problem: Any = SimpleNamespace(targets=TARGETS, train=TRAIN, classes=CLASSES)
    keys = torch.randn(2, SIZE, requires_grad=True)
    memory, queue = LabelledMemory(problem, SIZE), Queue(4, SIZE, CLASSES)
    memory.write(torch.tensor([0, 0]), keys)
    queue.push(keys, torch.rand(2, CLASSES))
    assert not any(kept.requires_grad for kept in (memory.keys, queue.keys, queue.recall(keys, 1)))
    (found,) = torch.autograd.grad(memory.similarity(keys, 1.0)[:, 0].sum(), keys)
    assert not found.any()  # one record is known, so its share is one whatever is asked
    memory.write(torch.tensor([3]), torch.randn(1, SIZE))
    (found,) = torch.autograd.grad(memory.similarity(keys, 1.0)[:, 0].sum(), keys)
    assert found.any()


def test_projected_features_are_unit_vectors_of_two_layers():
    torch.manual_seed(0)
    projection, features = Projection(3, SIZE).double(), torch.randn(6, 3).double()
    first, bias, second, last = (w.detach().numpy() for w in projection.parameters())
    found = projection(features).detach().numpy()
    for row, record in zip(found, features.numpy(), strict=True):
        inner = first @ record + bias
        outer = second @ np.where(inner > 0, inner, 0.1 * inner) + last
        np.testing.assert_allclose(row, outer / math.sqrt(sum(outer**2)), rtol=1e-9)
    assert Projection(1000, SIZE)[0].out_features == 256
