"""Every method of the loop takes steps on every kind of record, with every encoder that learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leaven.core.recipe import Training
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import ENCODERS
from leaven.learn.method import METHODS, Problem
from leaven.learn.train import LoopMethod

CLASSES = 3
STEPS = 2  # the second is of weights that the first has changed
WORDS = ["card", "cash", "bank", "late", "lost", "fee", "rate", "how", "why", "where", "top up"]


def records(modality: str) -> Dataset:
    rng = np.random.default_rng(0)
    if modality == "image":
        return Dataset.from_arrays(rng.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8))
    if modality == "audio":
        sounds = [rng.normal(size=int(size)) for size in rng.integers(1_500, 4_000, 30)]
        return Dataset.from_arrays(sounds, modality="audio")
    if modality == "series":
        series = [rng.normal(size=(2, int(size))) for size in rng.integers(8, 24, 30)]
        return Dataset.from_arrays(series, modality="series")
    if modality == "text":
        texts = [" ".join(rng.choice(WORDS, int(rng.integers(1, 12)))) for _ in range(30)]
        return Dataset.from_arrays(texts, modality="text")
    if modality == "tabular":
        import pyarrow as pa

        table = pa.table(
            {"amount": rng.lognormal(size=30), "city": rng.choice(["Ulm", "Bern"], 30).tolist()}
        )
        return Dataset.from_frame(table, label=False, modality="tabular")
    vectors = rng.normal(size=(30, 12)).astype(np.float32)
    if modality == "graph":
        return Dataset.from_arrays(vectors, edges=rng.integers(0, 30, (2, 60)))
    return Dataset.from_arrays(vectors, modality="embedding")


#: Larger ones of a kind whose smaller one is here, and far dearer.
LARGER = ("wrn-28-2", "resnet-18", "resnet-50", "vit-tiny", "tcn-large", "text-transformer-large")
TRAINED = [name for name, kind in ENCODERS.items() if not kind.ready and name not in LARGER]
LOOP = [name for name, method in METHODS.items() if isinstance(method, LoopMethod)]


@pytest.mark.usefixtures("few_words")
@pytest.mark.parametrize("encoder", TRAINED)
def test_every_method_takes_steps(encoder: str):
    modality = ENCODERS[encoder].modality
    dataset = records(modality)
    spec = MODALITIES[modality].describe(dataset)
    arrays, rejected = MODALITIES[modality].decode(dataset, spec)
    assert not rejected
    problem = Problem(
        arrays=arrays,
        spec=spec,
        modality=modality,
        task="classification",
        classes=CLASSES,
        targets=np.where(np.arange(30) < 9, np.arange(30) % CLASSES, -1),
        train=np.arange(9),
        unlabelled=np.arange(9, 30),
        encoder=encoder,
        steps=STEPS,
        training=Training(labelled_batch=4, unlabelled_ratio=2, precision="32-true"),
    )
    for name in LOOP:
        fit = METHODS[name].fit(problem)
        taken = []
        while True:
            try:
                taken.append(next(fit))
            except StopIteration as done:
                network = done.value
                break
        terms = [float(t) for step in taken for t in step.terms.values()]
        assert len(taken) == STEPS, name
        assert np.isfinite(terms).all(), name
        logits = network.logits(arrays)
        assert logits.shape == (30, CLASSES), name
        assert np.isfinite(logits).all(), name
        assert all(torch.isfinite(p).all() for p in network.parameters()), name
