"""FT-Transformer against the paper's formulas, one row at a time in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import ENCODERS
from leaven.learn.models.ft_transformer import FTTransformer
from leaven.learn.table_scores import TableScores
from tests.learn.oracle_parts import Floats, softmax

WORDS = ["the", "red", "fox", "ran", "on", "a", "cold", "wet", "day", "and", "paid", "full", "fee"]


def _table(kinds: str = "nct") -> pa.Table:
    """Twelve rows with two columns of each kind named: numbers, categories, texts."""
    rng = np.random.default_rng(0)
    n = 12
    columns: dict[str, pa.Array] = {}
    if "n" in kinds:
        columns["amount"] = pa.array(rng.lognormal(size=n))
        columns["age"] = pa.array([None if i % 4 == 1 else float(i) for i in range(n)])
    if "c" in kinds:
        columns["city"] = pa.array([["Ulm", "Bern", "Graz"][i % 3] for i in range(n)])
        columns["owner"] = pa.array([None if i == 5 else ["yes", "no"][i % 2] for i in range(n)])
    if "t" in kinds:
        for name in ("asked", "told"):
            columns[name] = pa.array([" ".join(rng.choice(WORDS, 9)) for _ in range(n)])
    return pa.table(columns)


def _built(kinds: str = "nct") -> tuple[FTTransformer, Arrays, Batch]:
    views = MODALITIES["tabular"]
    dataset = Dataset.from_frame(_table(kinds), label=False, modality="tabular")
    spec = views.describe(dataset)
    arrays, _ = views.decode(dataset, spec)
    torch.manual_seed(0)
    encoder = FTTransformer(**FTTransformer.configure(spec) | {"width": 8, "heads": 2})
    encoder.prepare(arrays, np.arange(len(dataset)), 0)
    batch = arrays.batch(np.arange(len(dataset)))
    return encoder.double().eval(), arrays, batch | {"numeric": batch["numeric"].double()}


def _numbers(tensor: Tensor) -> Floats:
    found: Floats = tensor.detach().double().numpy()
    return found


def test_the_table_has_the_columns_that_it_should():
    encoder, _, _ = _built()
    assert (encoder.numbers, encoder.texts, encoder.config["levels"]) == (2, 2, [4, 3])


def test_each_cell_becomes_its_token():
    encoder, arrays, batch = _built()
    entered = _numbers(encoder.enter(batch))
    assert entered.shape == (12, 6, 9)
    assert (entered[..., -1] == 1).all()
    scores = TableScores(2 + 128, ()).double()
    scores.prepare(arrays, np.arange(12), 0)
    score = _numbers(scores({"numeric": batch["numeric"], "codes": batch["codes"][:, :0]}))
    assert encoder.number is not None
    assert encoder.text is not None
    assert encoder.level is not None
    number, text, level = map(_numbers, (encoder.number, encoder.text, encoder.level))
    missing = 0
    for row in range(12):
        tokens = []
        for column in range(2):
            if math.isnan(batch["numeric"][row, column]):
                missing += 1
                tokens.append(number[2, column])
            else:
                tokens.append(score[row, column] * number[0, column] + number[1, column])
        for column in range(2):
            first = 2 + 64 * column
            bag = _numbers(batch["numeric"][row, first : first + 64])
            tokens.append(sum(bag[k] * text[column, k] for k in range(64)) + text[column, 64])
        city, owner = (int(code) for code in batch["codes"][row])
        tokens += [level[city], level[4 + owner]]
        np.testing.assert_allclose(entered[row, :, :-1], np.stack(tokens), atol=1e-6)
    assert missing == 3
    assert batch["codes"][5, 1] == 0  # the owner that is missing


def _linear(layer: nn.Linear, x: Floats) -> Floats:
    return _numbers(layer.weight) @ x + _numbers(layer.bias)


def _normed(layer: Any, x: Floats) -> Floats:
    if isinstance(layer, nn.Identity):
        return x
    scaled = (x - x.mean()) / np.sqrt(x.var() + layer.eps)
    return scaled * _numbers(layer.weight) + _numbers(layer.bias)


def _layer(layer: Any, tokens: list[Floats], heads: int) -> list[Floats]:
    """Every token attends to all; then ReGLU."""
    normed = [_normed(layer.before, token) for token in tokens]
    width = len(tokens[0])
    size = width // heads
    queries = [_linear(layer.asking, token) for token in normed]
    answers = [_linear(layer.answering, token) for token in normed]
    found = []
    for token, query in zip(tokens, queries, strict=True):
        read = np.zeros(width)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            likeness = [query[part] @ told[:width][part] / math.sqrt(size) for told in answers]
            for share, told in zip(softmax(np.array(likeness)), answers, strict=True):
                read[part] += share * told[width:][part]
        token = token + _linear(layer.told, read)
        gate, opened = np.split(_linear(layer.wide, _normed(layer.between, token)), 2)
        found.append(token + _linear(layer.narrow, gate * np.maximum(opened, 0)))
    return found


def test_features_are_the_rows_state():
    encoder, _, batch = _built()
    assert isinstance(encoder.body[0].before, nn.Identity)
    assert isinstance(encoder.body[1].before, nn.LayerNorm)
    entered = encoder.enter(batch)
    features = _numbers(encoder(batch))
    for row in (0, 1, 5):
        tokens = [_numbers(encoder.row), *_numbers(entered[row, :, :-1])]
        for layer in encoder.body:
            tokens = _layer(layer, tokens, 2)
        wanted = np.maximum(_normed(encoder.norm, tokens[0]), 0)
        np.testing.assert_allclose(features[row], wanted, atol=1e-9)


@pytest.mark.parametrize("kinds", ["n", "c", "t", "nc", "nct"])
def test_tables_of_any_columns_train_every_tensor(kinds: str):
    encoder, _, batch = _built(kinds)
    encoder.train()
    torch.manual_seed(1)
    (encoder(batch) * torch.randn(12, 8)).sum().backward()
    idle = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle
    for number, kind in ((encoder.number, "n"), (encoder.text, "t"), (encoder.level, "c")):
        assert (number is None) == (kind not in kinds)


def test_every_cell_counts():
    encoder, _, batch = _built()
    before = encoder(batch)
    word = 66 + int(batch["numeric"][:, 66:].std(0).argmax())
    for column, name in [(0, "numeric"), (1, "numeric"), (word, "numeric"), (0, "codes")]:
        other = {key: value.clone() for key, value in batch.items()}
        other[name][:, column] = other[name][:, column].flip(0)
        assert not torch.allclose(before, encoder(other))


def test_a_new_category_and_a_missing_number_are_not_like_any_other():
    encoder, _, batch = _built()
    one = {key: value[:4].clone() for key, value in batch.items()}
    one["numeric"][:] = one["numeric"][0]
    one["codes"][:] = one["codes"][0]
    one["numeric"][1, 0] = math.nan
    one["codes"][2, 0] = 0
    features = encoder(one)
    assert torch.allclose(features[0], features[3])
    assert not torch.allclose(features[0], features[1])
    assert not torch.allclose(features[0], features[2])


def test_its_layers_hold_all_that_stands_behind_the_tokens():
    encoder, _, _ = _built()
    held = {id(p) for layer in encoder.layers() for p in layer.parameters()}
    left = {name for name, p in encoder.named_parameters() if id(p) not in held}
    assert left == {"number", "text", "level", "row"}


@pytest.mark.parametrize("modality", ["tabular", "text"])
def test_encoders_that_start_from_nothing_have_three_rungs(modality: str):
    sizes = [kind.size for _, kind in ENCODERS.items() if kind.modality == modality and kind.size]
    assert {"tiny", "base", "large"} <= set(sizes)
