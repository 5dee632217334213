"""VIME and masked reconstruction against slow transcriptions, and what they hide."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.arrays import Batch
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.contracts.pretexts import made_pretraining
from leaven.learn.heads.bare import BareHead
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import Moment
from leaven.learn.pretext import PRETEXTS
from leaven.learn.pretexts import masked
from leaven.learn.pretexts.masked import Masked, hidden
from leaven.learn.pretexts.vime import Vime, changed
from tests.learn.oracle_parts import Floats, moment, softmax

WORDS = ["the", "red", "fox", "ran", "on", "a", "cold", "wet", "day", "and", "paid", "full", "fee"]


@dataclass
class _Seeing:
    """A network that remembers what it was shown."""

    network: Network
    shown: list[Any] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def __call__(self, view: Batch | Tensor) -> Tensor:
        self.shown.append(view)
        features: Tensor = self.network(view)
        return features


class _Records:
    """A modality whose records are these."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def plain(self, batch: Batch) -> Batch:
        return self.batch


def _numbers(tensor: Tensor) -> Floats:
    found: Floats = tensor.detach().double().numpy()
    return found


def _network(problem: Problem) -> Network:
    torch.manual_seed(0)
    encoder = problem.build_encoder()
    return Network(encoder, BareHead(encoder.width)).eval()


def _moment(network: Any, state: nn.Module, batch: Batch, seed: int = 0) -> Moment:
    rows = len(next(iter(batch.values())))
    none = np.zeros(0, np.int64)
    return moment(network, network, _Records(batch), none, rows, seed, state=state)


# --- VIME --------------------------------------------------------------------------------------


def _table(n: int = 40) -> Problem:
    """Two numbers, one of them missing in places, a text, and two categories."""
    rng = np.random.default_rng(0)
    frame = pa.table(
        {
            "amount": rng.lognormal(size=n),
            "age": [None if i % 5 == 1 else float(i) for i in range(n)],
            "asked": [" ".join(rng.choice(WORDS, 9)) for _ in range(n)],
            "city": rng.choice(["Ulm", "Bern", "Graz"], n).tolist(),
            "owner": rng.choice(["yes", "no"], n).tolist(),
        }
    )
    dataset = Dataset.from_frame(frame, label=False, modality="tabular")
    views = MODALITIES["tabular"]
    spec = views.describe(dataset)
    assert (len(spec["numeric"]), len(spec["text"]), len(spec["categorical"])) == (2, 1, 2)
    return Problem(
        arrays=views.decode(dataset, spec)[0],
        spec=spec,
        modality="tabular",
        task="classification",
        classes=1,
        targets=np.full(n, -1),
        train=np.zeros(0, np.int64),
        unlabelled=np.arange(n),
        encoder="tabular-mlp",
        seed=0,
        steps=2,
    )


def _differ(before: Batch, after: Batch, row: int) -> list[bool]:
    """Of the two numbers, the text and the two categories."""
    old, new = before["numeric"][row].tolist(), after["numeric"][row].tolist()
    same = [a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(old, new, strict=True)]
    codes = (before["codes"][row] != after["codes"][row]).tolist()
    return [not same[0], not same[1], not all(same[2:]), *codes]


def test_vime_is_its_formula():
    problem = _table()
    network = _Seeing(_network(problem))
    objective = Vime(alpha=3.0)
    state: Any = objective.state(problem, network.network)
    batch = problem.arrays.batch(np.arange(40))
    loss = objective.loss(_moment(network, state, batch))
    given = network.shown[0]
    features = _numbers(network.network(given))
    asked = features @ _numbers(state.mask.weight).T + _numbers(state.mask.bias)
    told = features @ _numbers(state.row.weight).T + _numbers(state.row.bias)
    score = _numbers(state.scores({"numeric": batch["numeric"], "codes": batch["codes"][:, :0]}))
    masks, errors = [], []
    for row in range(40):
        for cell, differs in enumerate(_differ(batch, given, row)):
            chance = 1 / (1 + math.exp(-asked[row, cell]))
            masks.append(-math.log(chance if differs else 1 - chance))
        squares = (told[row, :66] - score[row, :66]) ** 2
        errors.append(squares[0])
        if row % 5 != 1:
            errors.append(squares[1])
        errors.append(squares[2:].mean())
        city, owner = batch["codes"][row].tolist()
        errors.append(-math.log(softmax(told[row, 66:70])[city]))
        errors.append(-math.log(softmax(told[row, 70:73])[owner]))
    assert told.shape[1] == 73
    assert loss.terms["mask"].item() == pytest.approx(np.mean(masks), rel=1e-5)
    assert loss.terms["row"].item() == pytest.approx(3 * np.mean(errors), rel=1e-5)


def test_vime_changes_three_cells_of_ten_for_others_of_their_column():
    problem = _table(400)
    network = _Seeing(_network(problem))
    objective = Vime()
    batch = problem.arrays.batch(np.arange(400))
    objective.loss(_moment(network, objective.state(problem, network.network), batch))
    given = network.shown[0]
    found = changed(batch, given, [1, 1, 64]).numpy()
    wanted = np.array([_differ(batch, given, row) for row in range(400)])
    assert (found == wanted).all()
    # Amounts and texts are all distinct, so that a change is seen.
    for cell in (0, 2):
        assert abs(found[:, cell].mean() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 400)
    assert set(given["numeric"][:, 0].tolist()) <= set(batch["numeric"][:, 0].tolist())
    known = {tuple(bag) for bag in batch["numeric"][:, 2:].tolist()}
    assert {tuple(bag) for bag in given["numeric"][:, 2:].tolist()} <= known


def test_vime_serves_tables_of_numbers_and_tables_of_names():
    rng = np.random.default_rng(0)
    views = MODALITIES["tabular"]
    for columns in (
        {"a": rng.normal(size=20), "b": rng.normal(size=20)},
        {"a": rng.choice(["x", "y"], 20).tolist(), "b": rng.choice(["v", "w"], 20).tolist()},
    ):
        frame: Any = pa.table(columns)
        dataset = Dataset.from_frame(frame, label=False, modality="tabular")
        spec = views.describe(dataset)
        arrays, _ = views.decode(dataset, spec)
        problem = Problem(
            **vars(_table()) | {"arrays": arrays, "spec": spec, "unlabelled": np.arange(20)}
        )
        network = _network(problem)
        state = Vime().state(problem, network)
        loss = Vime().loss(_moment(network, state, arrays.batch(np.arange(20))))
        assert {name: term.item() > 0 for name, term in loss.terms.items()} == {
            "mask": True,
            "row": True,
        }


@pytest.mark.parametrize("kind", [Vime, Masked])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_none_or_all_is_refused(kind: Any, share: float):
    with pytest.raises(SettingError, match="share"):
        kind(share)


# --- Masked ------------------------------------------------------------------------------------


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_half_of_the_entries_of_a_vector_are_hidden():
    hide = hidden(torch.zeros(50, 20), 0.5, _rng())
    assert hide.shape == (50, 20)
    assert (hide.sum(1) == 10).all()
    assert hide.any(0).all()


@pytest.mark.parametrize(
    ("height", "width", "down", "right"), [(16, 32, 2, 4), (28, 20, 3, 2), (5, 9, 1, 1)]
)
def test_of_a_picture_blocks_are_hidden(height: int, width: int, down: int, right: int):
    hide = hidden(torch.zeros(6, 3, height, width), 0.25, _rng())
    assert hide.shape == (6, 1, height, width)
    rows, columns = math.ceil(height / down), math.ceil(width / right)
    for picture in hide[:, 0].numpy():
        picked = 0
        for i in range(rows):
            for j in range(columns):
                block = picture[i * down : (i + 1) * down, j * right : (j + 1) * right]
                assert block.all() == block.any()
                picked += int(block.all())
        assert picked == math.floor(0.25 * rows * columns + 0.5)


def test_of_a_sequence_spans_that_are_there_are_hidden():
    counts = [1, 4, 11, 20]
    there = (torch.arange(20) < torch.tensor(counts)[:, None]).float()
    given = torch.cat([torch.zeros(4, 20, 5), there.unsqueeze(-1)], -1)
    hide = hidden(given, 0.5, _rng()).squeeze(-1).numpy()
    for row, count in enumerate(counts):
        spans = [hide[row, start : min(start + 3, count)] for start in range(0, count, 3)]
        assert all(span.all() == span.any() for span in spans)
        assert sum(span.all() for span in spans) == max(math.floor(0.5 * len(spans) + 0.5), 1)
        assert not hide[row, count:].any()


@pytest.mark.parametrize("modality", ["embedding", "image", "tabular"])
def test_masked_is_its_formula(modality: str):
    problem = made_pretraining(PRETEXTS["masked"], modality=modality).problem
    network = _Seeing(_network(problem))
    objective = Masked()
    state: Any = objective.state(problem, network.network)
    assert state.before is None
    nn.init.normal_(state.fill)
    batch = MODALITIES[modality].plain(problem.arrays.batch(np.arange(6)))
    if modality == "image":
        batch = {"pixels": batch["pixels"].float()}
    loss = objective.loss(_moment(network, state, batch))
    entered, shown = _numbers(network.enter(batch)), _numbers(network.shown[0])
    fill = np.broadcast_to(_numbers(state.fill), shown.shape[1:])
    told = _numbers(state.decoder(network.network(network.shown[0])))
    errors, gone = [], 0
    for row in range(6):
        for place in np.ndindex(*entered.shape[1:]):
            if shown[row][place] == entered[row][place]:
                continue
            gone += 1
            assert shown[row][place] == fill[place]
            errors.append((told[row][place] - entered[row][place]) ** 2)
    assert abs(gone / entered.size - 0.5) < 0.05
    assert loss.total.item() == pytest.approx(np.mean(errors), rel=1e-4)


@pytest.mark.parametrize(
    ("modality", "encoder"), [("tabular", "ft-transformer"), ("text", "text-transformer")]
)
def test_where_entering_learns_the_encoder_of_the_start_is_asked(
    monkeypatch: pytest.MonkeyPatch, modality: str, encoder: str
):
    drawn: list[Tensor] = []
    inner = masked.hidden
    monkeypatch.setattr(masked, "hidden", lambda *given: drawn.append(inner(*given)) or drawn[-1])
    made = made_pretraining(PRETEXTS["masked"], modality=modality).problem
    problem = Problem(**vars(made) | {"encoder": encoder, "prepared": {}})
    network = _Seeing(_network(problem))
    objective = Masked()
    state: Any = objective.state(problem, network.network)
    shows: list[Tensor] = []
    show = state.show
    monkeypatch.setattr(state, "show", lambda *given: shows.append(show(*given)) or shows[-1])
    batch = MODALITIES[modality].plain(problem.arrays.batch(np.arange(6)))
    record = _numbers(network.enter(batch))
    with torch.no_grad():  # as if some steps were done
        for parameter in network.network.parameters():
            parameter.mul_(1.3)
    loss = objective.loss(_moment(network, state, batch))
    shown = shows[0]
    reader: Any = network.encoder
    # A state a place where there are such, else the features.
    seen = reader.states(shown) if modality == "text" else reader.represent(shown)
    told = _numbers(state.decoder(seen))
    errors = []
    for row in range(6):
        for place in np.flatnonzero(drawn[0][row].numpy()):
            wanted = record[row, place, :-1]
            errors += list((told[row, place, : len(wanted)] - wanted) ** 2)
            assert shown[row, place, -1] == 1
    assert loss.total.item() == pytest.approx(np.mean(errors), rel=1e-4)
    loss.total.backward()
    assert all(p.grad is None for p in state.before.parameters())
