"""What the classes are called counts as one more record of each, where words can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import leaven
from leaven.learn.class_names import spoken
from leaven.learn.classic_method import Frozen
from leaven.learn.method import METHODS
from leaven.learn.out_of_fold import answers, fitted, folds, out_of_fold

READERS = ["logistic", "ridge", "self-training", "self-training-ridge"]


@given(st.lists(st.text(max_size=12), max_size=6))
def test_words_are_there_for_all_classes_or_for_none(classes: list[str]) -> None:
    words = spoken(classes)
    assert len(words) in (0, len(classes))
    assert len(set(words)) == len(words)
    assert all(word.strip() == word != "" for word in words)


@pytest.mark.parametrize(
    "classes",
    [["0", "1"], ["class 1", "class 2"], ["a", "b"], ["x1", "x2"], ["spam"], [], ["", "b"]],
)
def test_codes_say_nothing(classes: list[str]) -> None:
    assert spoken(classes) == []


def test_one_code_among_many_names_is_read_with_them() -> None:
    names = [
        f"{one} {other}" for one in ("lost", "new", "old") for other in ("card", "bank", "rate")
    ]
    assert spoken([*names, "W2"])[-1] == "w2"
    assert spoken([*names, "W2", "W4"]) == [], "two of eleven are more than a few"


def problem(
    named: bool, held: int = 2000, radius: float = 3.0, seed: int = 0
) -> tuple[Frozen, np.ndarray, np.ndarray]:
    """Two labels a class of five classes around centres; a name lies near its centre."""
    rng = np.random.default_rng(seed)
    classes, width, free = 5, 20, 300
    centres = radius * rng.normal(size=(classes, width)) / np.sqrt(width)
    truth = np.arange(2 * classes + free + held) % classes
    features = (centres[truth] + rng.normal(size=(len(truth), width))).astype(np.float32)
    known = 2 * classes + free
    targets = np.where(np.arange(known) < 2 * classes, truth[:known], -1)
    names = (centres + 0.3 * rng.normal(size=centres.shape)).astype(np.float32)
    frozen = Frozen(
        features[:known], targets, classes, 0, np.arange(free), names=names if named else None
    )
    return frozen, features[known:], truth[known:]


def test_names_stand_behind_the_labelled_records() -> None:
    known, _, _ = problem(True)
    votes = np.zeros((len(known.targets), 3), np.int16)
    with_votes = Frozen(
        known.features, known.targets, 5, 0, known.places, votes=votes, names=known.names
    )
    told = with_votes.with_names()
    assert known.names is not None
    assert told.labelled == known.labelled + 5
    assert (told.features[known.labelled : told.labelled] == known.names).all()
    assert told.targets[known.labelled : told.labelled].tolist() == [0, 1, 2, 3, 4]
    assert (told.features[told.labelled :] == known.features[known.labelled :]).all()
    assert (told.targets[told.labelled :] == -1).all()
    assert told.weights.tolist() == [1.0] * told.labelled
    assert told.votes is not None
    assert (told.votes[known.labelled : told.labelled] == -1).all()
    assert (told.votes[told.labelled :] == 0).all()
    assert told.places.tolist() == known.places.tolist()
    assert told.with_names() is told, "once is enough"


@pytest.mark.parametrize("name", READERS)
def test_names_help_who_reads_them(name: str) -> None:
    gains = []
    for seed in range(5):
        right = []
        for named in (False, True):
            known, asked, truth = problem(named, radius=2.0, seed=seed)
            head = fitted(METHODS[name], known)
            right.append((answers(head, asked).argmax(1) == truth).mean())
        gains.append(right[1] - right[0])
    assert np.mean(gains) > 0.02


@pytest.mark.parametrize("name", ["forest", "poisson-learning", "label-spreading"])
def test_who_does_not_read_them_is_the_same(name: str) -> None:
    said = []
    for named in (False, True):
        known, asked, _ = problem(named, held=50)
        said.append(answers(fitted(METHODS[name], known), asked))
    np.testing.assert_array_equal(*said)


def test_records_left_out_are_judged_by_fits_that_read_names() -> None:
    (bare, _, _), (named, _, _) = problem(False), problem(True)
    y = named.targets[: named.labelled]
    parts = folds(y, 0)
    told, untold = (out_of_fold(METHODS["logistic"], known, parts) for known in (named, bare))
    assert told.shape == untold.shape == (named.labelled, named.classes)
    assert (told.argmax(1) == y).mean() > (untold.argmax(1) == y).mean()


def test_a_block_of_features_has_its_part_of_the_names() -> None:
    known, _, _ = problem(True)
    whole = Frozen(
        known.features, known.targets, 5, 0, known.places, names=known.names,
        columns={"": (0, 12), "raw": (12, 20)},
    )  # fmt: skip
    part = whole.of("raw")
    assert part.names is not None
    assert known.names is not None
    assert (part.names == known.names[:, 12:]).all()
    assert part.with_names().features.shape == (len(known.targets) + 5, 8)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    pytest.importorskip("transformers")
    from tests.learn.sentence_parts import tiny_encoder

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tiny_encoder(tmp_path / "model")


def tickets(classes: tuple[str, str]) -> pa.Table:
    """Texts about cards and transfers, three of each with a label."""
    rng = np.random.default_rng(1)
    own = [["card", "lost", "stolen", "blocked"], ["money", "transfer", "pending", "rate"]]
    kinds = np.arange(60) % 2
    said = [
        " ".join([*rng.choice(own[kind], 3), *rng.choice(["bank", "rate"], 2)]) for kind in kinds
    ]
    labels = [classes[kind] if i < 6 else None for i, kind in enumerate(kinds)]
    return pa.table({"text": said, "label": pa.array(labels, pa.string())})


def test_a_run_says_that_it_has_read_the_names(encoder: Path, tmp_path: Path) -> None:
    run = leaven.fit(
        tickets(("card_lost", "moneyTransfer")), label="label", method="logistic",
        encoder=str(encoder), out=tmp_path / "named",
    )  # fmt: skip
    assert run.story["training"]["names"] == {"logistic": ["card lost", "money transfer"]}
    page = (run.folder / "report.html").read_text()
    assert "card lost, money transfer" in page
    coded = leaven.fit(
        tickets(("0", "1")), label="label", method="logistic", encoder=str(encoder),
        out=tmp_path / "coded",
    )  # fmt: skip
    assert coded.story["training"]["names"] == {"logistic": []}
    assert "read the names" not in (coded.folder / "report.html").read_text()
