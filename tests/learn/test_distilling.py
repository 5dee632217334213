"""A small network that says what a large one says, and how it is taught."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

from leaven.core.errors import SettingError
from leaven.data.arrays import SHARED, Arrays
from leaven.learn import distilling
from leaven.learn.distilling import Student, distil
from leaven.learn.encoder import ENCODERS
from leaven.learn.head import HEADS, LinearHead
from leaven.learn.heads.blend import BlendHead
from leaven.learn.heads.forest import ForestHead
from leaven.learn.network import Network


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Fewer mixed pairs and steps than in earnest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distilling, "_ENOUGH", 2000)
        patch.setattr(distilling, "_STEPS", (300, 600))
        yield


@pytest.fixture(scope="module")
def digits() -> tuple[Arrays, np.ndarray[Any, Any]]:
    values, targets = load_digits(return_X_y=True)
    return Arrays({"features": values.astype(np.float32)}), targets


def network(head: Any) -> Network:
    return Network(ENCODERS["standardised"](width=64), head).eval()


@pytest.fixture(scope="module")
def teacher(digits: tuple[Any, ...]) -> Network:
    """A blend of a large and a small forest, taught by 300 records."""
    arrays, targets = digits
    seen = network(LinearHead(64, 10)).encoder.enter(arrays.batch(np.arange(300))).numpy()
    forests = [
        RandomForestClassifier(trees, random_state=0).fit(seen, targets[:300]) for trees in (200, 9)
    ]
    heads = [ForestHead.of(forest, 10) for forest in forests]
    return network(BlendHead.of(heads, [0.8, 0.2], [0.5, 1.0]))


TEACH, CHOOSE, HELD = np.arange(300, 1100), np.arange(1100, 1300), np.arange(1300, 1797)


@pytest.fixture(scope="module")
def student(teacher: Network, digits: tuple[Any, ...]) -> Student:
    return distil(teacher, digits[0], TEACH, CHOOSE)


def test_the_student_says_what_the_teacher_says(
    student: Student, teacher: Network, digits: tuple[Any, ...]
):
    arrays, targets = digits
    theirs, ours = (one.logits(arrays, HELD) for one in (teacher, student.network))
    assert (theirs.argmax(1) == ours.argmax(1)).mean() > 0.9
    probabilities = [torch.from_numpy(one).softmax(-1).numpy() for one in (theirs, ours)]
    assert np.abs(probabilities[0] - probabilities[1]).sum(1).mean() / 2 < 0.15
    right = [(said.argmax(1) == targets[HELD]).mean() for said in (theirs, ours)]
    assert right[1] > right[0] - 0.05


def test_the_better_head_is_taken(student: Student):
    assert set(student.agreement) == {"linear", "mlp"}
    assert student.agreement[student.kind] == max(student.agreement.values())


def test_a_linear_teacher_needs_no_hidden_layer():
    torch.manual_seed(0)
    head = LinearHead(64, 10)
    torch.nn.init.normal_(head.weight, std=4)
    drawn = np.random.default_rng(0).normal(3, size=(600, 64))
    arrays = Arrays({"features": drawn.astype(np.float32)})
    found = distil(network(head), arrays, np.arange(400), np.arange(400, 600))
    assert found.kind == "linear"
    assert found.agreement["linear"] > 0.97


def test_the_teachers_temperature_is_learnt_from(teacher: Network, digits: tuple[Any, ...]):
    warm = distil(teacher, digits[0], TEACH, CHOOSE, temperature=3.0)
    theirs = torch.from_numpy(teacher.logits(digits[0], HELD) / 3).softmax(-1).numpy()
    ours = torch.from_numpy(warm.network.logits(digits[0], HELD)).softmax(-1).numpy()
    assert ours.max(1).mean() == pytest.approx(theirs.max(1).mean(), abs=0.05)


def test_the_same_seed_gives_the_same_weights(
    student: Student, teacher: Network, digits: tuple[Any, ...]
):
    torch.manual_seed(99)  # what others drew before is not felt, nor is their stream disturbed
    again = distil(teacher, digits[0], TEACH, CHOOSE)
    after = torch.rand(1)
    torch.manual_seed(99)
    assert torch.equal(after, torch.rand(1))
    for name, values in student.network.state_dict().items():
        assert torch.equal(values, again.network.state_dict()[name]), name
    other = distil(teacher, digits[0], TEACH, CHOOSE, seed=1).network.head.state_dict()
    own = student.network.head.state_dict()
    assert not all(torch.equal(own[name], other[name]) for name in own if name in other)


def test_the_encoder_is_a_copy(student: Student, teacher: Network):
    assert student.network.encoder is not teacher.encoder
    assert student.network.encoder.config == teacher.encoder.config


def test_few_records_are_mixed(teacher: Network, digits: tuple[Any, ...], monkeypatch: Any):
    """Sixty records and pairs of them teach more than the sixty alone."""

    def said(enough: int) -> float:
        monkeypatch.setattr(distilling, "_ENOUGH", enough)
        found = distil(teacher, digits[0], TEACH[:60], CHOOSE)
        ours = found.network.logits(digits[0], HELD).argmax(1)
        return float((ours == teacher.logits(digits[0], HELD).argmax(1)).mean())

    assert said(2000) > said(0)


def test_what_cannot_be_distilled_is_told(teacher: Network, digits: tuple[Any, ...]):
    edges = Arrays({"features": np.zeros((4, 64), np.float32), f"{SHARED}edges": np.zeros((2, 9))})
    with pytest.raises(SettingError, match="reads a graph"):
        distil(teacher, edges, np.arange(2), np.arange(2, 4))
    with pytest.raises(SettingError, match="records to teach"):
        distil(teacher, digits[0], TEACH[:0], CHOOSE)


def test_the_hidden_head_is_rebuilt_from_its_configuration():
    torch.manual_seed(0)
    head = HEADS["mlp"](in_features=5, hidden=7, out_features=3)  # type: ignore[call-arg]
    again = HEADS["mlp"](**head.config)
    again.load_state_dict(head.state_dict())
    features = torch.randn(4, 5)
    assert torch.equal(head(features), again(features))
    assert (head.outputs, tuple(head(features).shape)) == (3, (4, 3))
