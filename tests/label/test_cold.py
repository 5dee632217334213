"""The first questions, where there is neither a run nor a label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits

from leaven.api import pretrain
from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.data.dataset import Dataset
from leaven.label.asking.querying import cold

CLASSES = [str(i) for i in range(10)]
FAST: Any = {"encoder": "pixel-components"}


def digits(n: int = 200) -> tuple[Dataset, np.ndarray]:
    """Small pictures of digits, and what they show."""
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[:n]
    pictures = (X[rows].reshape(-1, 8, 8) * 15.9).astype(np.uint8)
    return Dataset.from_arrays(pictures, ids=[f"d{i}" for i in range(n)]), y[rows]


def test_the_first_questions_show_more_classes_than_a_draw():
    dataset, y = digits(400)
    place = {f"d{i}": int(label) for i, label in enumerate(y)}

    def seen(strategy: str) -> float:
        found = [
            cold(dataset, CLASSES, 10, strategy=strategy, seed=seed, **FAST) for seed in range(6)
        ]
        return float(np.mean([len({place[a.record] for a in one.asks}) for one in found]))

    assert seen("auto") > seen("random") + 1


def test_nothing_is_guessed_and_all_is_told():
    dataset, _ = digits()
    found = cold(dataset, CLASSES, 12, wanted=2)
    assert found.strategy == "typiclust"
    assert len({one.record for one in found.asks}) == 12
    assert found.rehearsal is None
    assert found.precision is None
    for number, one in enumerate(found.asks):
        assert one.guess == ()
        assert one.kind == "ask"
        assert one.wanted == 2
        assert one.priority == 12 - number
        assert one.reason.startswith("Stands for ")
        assert one.shown["kind"] == "image"
        assert one.shown["neighbours"] == []
        assert one.content
        assert set(one.origin) == {"strategy", "score"}
    again = cold(dataset, CLASSES, 12, wanted=2)
    assert [a.record for a in again.asks] == [a.record for a in found.asks]


def test_what_waits_is_not_asked_again_until_all_is_asked():
    dataset, _ = digits(30)
    first = [one.record for one in cold(dataset, CLASSES, 20, **FAST).asks]
    rest = [one.record for one in cold(dataset, CLASSES, 20, waiting=first, **FAST).asks]
    assert len(rest) == 10
    assert not set(first) & set(rest)
    with pytest.raises(DataError, match="left to ask"):
        cold(dataset, CLASSES, 1, waiting=first + rest, **FAST)


@pytest.mark.parametrize("strategy", ["random", "typiclust", "probcover", "k-centre"])
def test_texts_are_read_by_every_strategy_without_a_model(strategy: str):
    topics = ["the train to {} is late again", "a goal in minute {} won the match",
              "cook {} onions slowly in butter"]  # fmt: skip
    texts = [topics[i % 3].format(i) for i in range(90)] + ["the train to 0 is late again"] * 3
    dataset = Dataset.from_frame(pa.table({"text": texts}), label=False, modality="text")
    found = cold(dataset, ["travel", "sport", "food"], 9, strategy=strategy)
    contents = [one.content for one in found.asks]
    assert len(set(contents)) == len(contents) == 9, "copies are asked once"


def test_a_table_with_gaps_is_read():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=60).tolist()
    numbers[7] = None
    table = pa.table({"a": pa.array(numbers, pa.float64()), "b": ["x", "y", None] * 20})
    found = cold(Dataset.from_frame(table, label=False), ["good", "bad"], 5)
    assert len(found.asks) == 5


def test_labels_that_are_there_count_and_others_are_left_alone():
    X, y = load_digits(return_X_y=True)
    labels = np.array([str(label) for label in y[:200]], object)
    labels[40:] = None
    labels[:5] = "odd"
    dataset = Dataset.from_arrays(X[:200], labels, ids=[f"d{i}" for i in range(200)])
    found = cold(dataset, CLASSES, 20)
    asked = {one.record for one in found.asks}
    assert not asked & {f"d{i}" for i in range(40)}
    near = {n["label"] for one in found.asks for n in one.shown["neighbours"]}
    assert near
    assert "odd" not in near


@pytest.mark.parametrize("classes", [[], ["a"], ["a", " a "], ["a", ""], "ab"])
def test_fewer_than_two_classes_are_refused(classes: list[str]):
    dataset, _ = digits(20)
    with pytest.raises(SettingError, match="two names or more"):
        cold(dataset, classes, 5)


def test_what_needs_a_model_is_refused():
    dataset, _ = digits(20)
    with pytest.raises(SettingError, match="typiclust"):
        cold(dataset, CLASSES, 5, strategy="margin")
    with pytest.raises(UnknownNameError, match="Did you mean 'typiclust'"):
        cold(dataset, CLASSES, 5, strategy="typclust")
    with pytest.raises(SettingError, match="count"):
        cold(dataset, CLASSES, 0)
    with pytest.raises(SettingError, match="need no training: .*pixel-components"):
        cold(dataset, CLASSES, 5, encoder="small-convnet")


def test_an_encoder_can_be_named():
    dataset, _ = digits(60)
    assert len(cold(dataset, CLASSES, 5, encoder="pixel-components").asks) == 5


def test_nothing_readable_is_told(tmp_path: Path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"no picture")
    (tmp_path / "list.csv").write_text("image\n" + "".join(f"{i}.png\n" for i in range(3)))
    with pytest.raises(DataError):
        dataset = Dataset.read(tmp_path / "list.csv", label=False, modality="image")
        cold(dataset, ["cat", "dog"], 2)


def test_a_pretrained_encoder_is_taken(tmp_path: Path):
    dataset, _ = digits(80)
    run = pretrain(dataset, pretext="simclr", budget="3steps", out=tmp_path)
    found = cold(dataset, CLASSES, 6, encoder=str(run.folder))
    assert len(found.asks) == 6
