"""Everything registered keeps its contracts, and each contract catches what would break it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Modality
from leaven.learn.contracts import (
    ENCODER_CHECKS,
    EXCLUDED,
    METHOD_CHECKS,
    MODALITY_CHECKS,
    BrokenContract,
    check_encoder,
    check_method,
    check_modality,
)
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.method import METHODS, Method, Problem, Step
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective
from leaven.learn.train import LoopMethod

WORDS = ["card", "cash", "bank", "late", "lost", "fee", "top up", "sent back", "rate", "how", "why"]


def _pictures() -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 12, 12), dtype=np.uint8)
    return Dataset.from_arrays(pixels)


def _texts() -> Dataset:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 12)) for _ in range(24)]
    return Dataset.from_arrays(texts, modality="text")


def _table() -> Dataset:
    import pyarrow as pa

    rng = np.random.default_rng(0)
    missing = [None if i % 5 == 0 else float(i) for i in range(24)]
    table = pa.table(
        {
            "amount": rng.lognormal(size=24),
            "age": missing,
            "city": rng.choice(["Ulm", "Bern", "Graz"], 24).tolist(),
            "owner": rng.choice(["yes", "no", "shared"], 24).tolist(),
        }
    )
    return Dataset.from_frame(table, label=False, modality="tabular")


def _vectors() -> Dataset:
    vectors = np.random.default_rng(0).normal(size=(24, 16)).astype(np.float32)
    return Dataset.from_arrays(vectors, modality="embedding")


def _nodes() -> Dataset:
    rng = np.random.default_rng(0)
    edges = np.stack([np.arange(24), (np.arange(24) * 5 + 1) % 24])
    return Dataset.from_arrays(rng.normal(size=(24, 16)).astype(np.float32), edges=edges)


def _sounds() -> Dataset:
    rng = np.random.default_rng(0)
    sounds = [0.1 * rng.normal(size=int(size)) for size in rng.integers(1_500, 5_000, 24)]
    return Dataset.from_arrays(sounds, modality="audio")


def _series() -> Dataset:
    rng = np.random.default_rng(0)
    found = [rng.normal(size=(2, int(steps))) for steps in rng.integers(24, 40, 24)]
    found[3][0, 5:9] = np.nan
    found[4][1] = np.nan
    return Dataset.from_arrays(found, modality="series")


#: Records to check a modality and its encoders on; a new modality adds its own.
SAMPLES: dict[str, Callable[[], Dataset]] = {
    "image": _pictures,
    "audio": _sounds,
    "text": _texts,
    "tabular": _table,
    "embedding": _vectors,
    "series": _series,
    "graph": _nodes,
}


def test_every_modality_has_records_to_be_checked_on():
    assert set(SAMPLES) == set(MODALITIES)


@pytest.mark.parametrize("name", list(METHODS))
def test_method_keeps_its_contracts(name: str):
    if METHODS[name].extra:
        pytest.importorskip(METHODS[name].extra)
    assert check_method(name)


#: Its records come with features of an encoder from elsewhere: see `test_blocks.py`.
APART = {"inner-states"}


@pytest.mark.parametrize("name", [name for name in ENCODERS if name not in APART])
def test_encoder_keeps_its_contracts(name: str):
    passed = check_encoder(name, SAMPLES[ENCODERS[name].modality]())
    assert len(passed) == len(ENCODER_CHECKS)


@pytest.mark.parametrize("name", list(MODALITIES))
def test_modality_keeps_its_contracts(name: str):
    assert len(check_modality(name, SAMPLES[name]())) == len(MODALITY_CHECKS)


def test_exclusions_are_of_methods_and_checks_that_exist_and_give_a_reason():
    checks = {check.name for check in METHOD_CHECKS}
    for (method, check), reason in EXCLUDED.items():
        assert method in METHODS
        assert check in checks
        assert len(reason) > 10
    asked = check_method("logistic")
    passed_over = [check for check in METHOD_CHECKS if check.name not in asked]
    assert passed_over
    assert all(check.otherwise for check in passed_over)


# --- Each fault below was shipped by a toolkit of the field; the contract must see it ---------


@dataclass(frozen=True)
class _Faulty(Objective):
    """Mean-teacher-like, with one fault."""

    fault: str
    weight: float = 5.0

    def loss(self, now: Moment) -> Loss:
        network, average, draw, task = now.network, now.average, now.draw, now.task
        labelled = network(draw.labelled())
        supervised = task.loss(labelled, draw.targets).mean()
        output = network(draw.unlabelled("weak"))
        if self.fault == "no gradient":
            return Loss({"supervised": supervised.detach() + 0 * output.detach().sum() + _zero()})
        if self.fault == "compared with itself":
            return Loss({"supervised": supervised, "unlabelled": self._apart(output, output)})
        if self.fault == "detached":
            apart = self._apart(output.detach(), average(draw.unlabelled("weak"))).detach()
            return Loss({"supervised": supervised, "unlabelled": apart})
        if self.fault == "silent weight":
            apart = (output - average(draw.unlabelled("weak")).detach()).square().mean()
            return Loss({"supervised": supervised, "unlabelled": apart})
        assert self.fault == "learning teacher"
        apart = self._apart(output, average(draw.unlabelled("weak")))
        return Loss({"supervised": supervised, "unlabelled": apart})

    def _apart(self, one: Tensor, other: Tensor) -> Tensor:
        return self.weight * (one - other).square().mean()


def _zero() -> Tensor:
    return torch.zeros((), requires_grad=True)


class _Wrapped(Method):
    """FixMatch in a wrapping that breaks one promise."""

    name = summary = paper = "faulty"
    family, baseline = "consistency", "supervised"
    unlabelled = stepped = True

    def __init__(self, fault: str) -> None:
        self.fault, self.inner = fault, METHODS["fixmatch"]
        self.fits = 0

    def default_encoder(self, modality: Modality) -> str:
        return self.inner.default_encoder(modality)

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        self.fits += 1
        if self.fault == "reads hidden labels":
            known = problem.targets >= 0
            problem = replace(problem, train=np.flatnonzero(known))
        if self.fault == "chance":
            problem = replace(problem, seed=self.fits)
        if self.fault == "one seed for all":
            problem = replace(problem, seed=0)
        if self.fault == "starts anew":
            checkpoint = None
        inner = METHODS["supervised"] if self.fault == "only labelled" else self.inner
        network = yield from inner.fit(problem, checkpoint)
        if self.fault == "guesses":
            nn.init.zeros_(network.head.weight)  # type: ignore[arg-type]
        if self.fault == "keeps something back":
            network.forward = lambda batch, plain=network.forward: 2 * plain(batch)  # type: ignore[method-assign]
        return network


def _fails(monkeypatch: pytest.MonkeyPatch, method: Method) -> str:
    monkeypatch.setitem(METHODS._entries, "faulty", method)
    with pytest.raises(BrokenContract) as broken:
        check_method("faulty")
    return str(broken.value)


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("no gradient", "'trains every tensor': training leaves these tensors"),
        ("compared with itself", "'the unlabelled term counts': the terms of the unlabelled"),
        ("detached", "'the unlabelled term counts': the unlabelled term changes no weight"),
        ("silent weight", "'weight zero is supervised'"),
        ("learning teacher", "'the teacher takes no gradient': a gradient reaches"),
    ],
)
def test_faulty_objective_is_caught(monkeypatch: pytest.MonkeyPatch, fault: str, caught: str):
    method = LoopMethod("faulty", "", "", _Faulty(fault))
    assert caught in _fails(monkeypatch, method)


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("reads hidden labels", "'hidden labels stay hidden'"),
        ("chance", "'one seed, one result'"),
        ("one seed for all", "'another seed, another result'"),
        ("starts anew", "'resumes exactly': stopped after step 1, it goes on with the steps [1,"),
        ("keeps something back", "'saves whole'"),
        ("only labelled", "'beats its supervised part'"),
        ("guesses", "'beats chance'"),
    ],
)
def test_faulty_method_is_caught(monkeypatch: pytest.MonkeyPatch, fault: str, caught: str):
    assert caught in _fails(monkeypatch, _Wrapped(fault))


class _FaultyEncoder(Encoder):
    """A layer over vectors, with one fault."""

    name, modality, summary, fault = "faulty", "embedding", "", ""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs=inputs)
        self.body = nn.Linear(inputs, 8)
        self.unused = nn.Linear(8, 8) if self.fault == "unused" else None
        self.width = 9 if self.fault == "width" else 8
        self.register_buffer("centre", torch.zeros(inputs))
        self.hidden = 1.0

    @classmethod
    def configure(cls, spec: dict[str, Any]) -> dict[str, Any]:
        return {"inputs": spec["width"]}

    def prepare(self, arrays: Any, index: Any, seed: int) -> None:
        rows = np.arange(len(arrays)) if self.fault == "looks at all" else index
        self.centre.copy_(torch.from_numpy(arrays["features"][rows].mean(0)))
        self.hidden = 2.0 if self.fault == "forgets" else 1.0

    def enter(self, batch: dict[str, Tensor]) -> Tensor:
        return self.hidden * (batch["features"] - self.centre)

    def represent(self, entered: Tensor) -> Tensor:
        features: Tensor = self.body(entered)
        if self.fault == "batch" and len(features) > 1:
            features = features - features.mean(0)
        return features


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("width", "'as wide as it says'"),
        ("unused", "'every tensor learns': no gradient reaches: unused"),
        ("forgets", "'rebuilt from its description'"),
        ("batch", "'a record stands alone'"),
        ("looks at all", "'prepares from its records only'"),
    ],
)
def test_faulty_encoder_is_caught(monkeypatch: pytest.MonkeyPatch, fault: str, caught: str):
    monkeypatch.setattr(_FaultyEncoder, "fault", fault)
    monkeypatch.setitem(ENCODERS._entries, "faulty", _FaultyEncoder)
    with pytest.raises(BrokenContract) as broken:
        check_encoder("faulty", _vectors())
    assert caught in str(broken.value)


def test_one_parameter_for_the_whole_batch_is_caught(monkeypatch: pytest.MonkeyPatch):
    image = type(MODALITIES["image"])
    drawn = image.strong

    def whole(self: Any, batch: Any, spec: Any, rng: torch.Generator) -> Any:
        seed = int(torch.randint(2**31, (1,), generator=rng))
        parts = [
            drawn(self, {"pixels": one[None]}, spec, torch.Generator().manual_seed(seed))
            for one in batch["pixels"]
        ]
        return {"pixels": torch.cat([part["pixels"] for part in parts])}

    monkeypatch.setattr(image, "strong", whole)
    with pytest.raises(BrokenContract, match="'one parameter a record'"):
        check_modality("image", _pictures())


def test_a_view_that_writes_into_the_records_is_caught(monkeypatch: pytest.MonkeyPatch):
    embedding = type(MODALITIES["embedding"])
    monkeypatch.setattr(
        embedding,
        "weak",
        lambda self, batch, spec, rng: {"features": batch["features"].add_(1.0)},
    )
    with pytest.raises(BrokenContract, match="'views keep the shape': a view changes the records"):
        check_modality("embedding", _vectors())
