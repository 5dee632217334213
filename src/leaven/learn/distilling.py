"""Distilling: a small network learns the probabilities that a large one gives.

Sources: Buciluă, Caruana & Niculescu-Mizil, "Model compression", KDD 2006 (an ensemble labels
unlabelled records for one network, section 2); Hinton, Vinyals & Dean, "Distilling the knowledge
in a neural network", arXiv:1503.02531, section 2 (soft targets). Where records are few, the teacher
is asked about mixed pairs as well: some features of one and the others of the other (after
"MUNGE", Buciluă et al., section 3), or a weighted mean of both (Zhang et al., "mixup",
arXiv:1710.09412, section 2, alpha = 1).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.arrays import Arrays
from leaven.data.dataset import Index
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import encode, sample
from leaven.learn.head import Head, LinearHead
from leaven.learn.heads.mlp import MLPHead
from leaven.learn.network import Network

__all__ = ["Student", "distil"]

_HIDDEN = 128
_MOST, _NUMBERS = 30_000, 60_000_000  # records that teach at most, and numbers of their features
_ENOUGH = 10_000  # with fewer records pairs are mixed
_NEAR = 10  # nearest records that near pairs are drawn from
_ASKED = 1024  # records that the teacher is asked about at once
_PENALTIES = (1e-3, 1e-4, 1e-5)  # on the squared weights of the linear head, over standard features
_ITERATIONS = 60
_BATCH, _RATE, _DECAY = 256, 5e-3, 1e-2
_WORK = 5e11  # operations of the hidden layer's training, so that wide features take no hours
_STEPS = (300, 4000)
_LOOKS, _PATIENCE = 40, 10  # how often the training looks at records left out, and waits for better


@dataclass(frozen=True)
class Student:
    """The network that was taken, and what each candidate was worth.

    `agreement` is, by the kind of the head, the share of the records left out of which it names the
    teacher's class.
    """

    network: Network
    agreement: Mapping[str, float]

    @property
    def kind(self) -> str:
        """The kind of the head that was taken."""
        return self.network.head.kind


@dataclass(frozen=True)
class _Lesson:
    """Standard features (n, width), the teacher's probabilities (n, k), and weights (n,) of sum 1.

    `seen` and `said` are the same of the records left out.
    """

    features: Tensor
    probabilities: Tensor
    weights: Tensor
    seen: Tensor
    said: Tensor

    def surprise(self, head: nn.Module) -> float:
        """Cross-entropy of the records left out."""
        with torch.no_grad():
            return float(_cross_entropy(head(self.seen), self.said).mean())

    def agreement(self, head: nn.Module) -> float:
        """The share of the records left out of which it names the teacher's class."""
        with torch.no_grad():
            return float((head(self.seen).argmax(1) == self.said.argmax(1)).double().mean())


def distil(
    teacher: Network,
    arrays: Arrays,
    teach: Index,
    choose: Index,
    *,
    temperature: float = 1.0,
    seed: int = 0,
) -> Student:
    """A network on a copy of the teacher's encoder, with a small head that says what it says.

    Parameters
    ----------
    teacher : an encoder and a head; its probabilities are softmax(outputs / temperature).
    arrays : decoded records.
    teach : positions of those that teach; of more than 30,000 a sample is drawn.
    choose : positions of others, by which one stops and chooses. They must not be those that the
        student is reported on.
    seed : of the mixed pairs, of the first weights and of the batches.

    A linear head (L-BFGS) and one of a hidden layer (AdamW, stopped early) are fitted to the
    cross-entropy with the teacher's probabilities; the one that names the teacher's class more
    often is taken, of equals the smaller. The same seed gives the same weights.

    Raises SettingError for records that share a graph, and where a part is empty.
    """
    if arrays.shared:
        raise SettingError(
            "teacher",
            "a network whose records stand alone",
            "one that reads a graph",
            "A pair of nodes cannot be mixed, and the graph is what costs the time.",
        )
    if not len(teach) or not len(choose):
        raise SettingError("teach", "records to teach and others to choose by", len(teach))
    width = teacher.encoder.width
    rows = sample(teach, min(_MOST, max(_NUMBERS // width, 1)), seed)
    plain = MODALITIES[teacher.encoder.modality].plain
    features, seen = (encode(teacher.encoder, arrays, part, plain) for part in (rows, choose))
    centre, scale = _standard(features)
    lesson = _lesson(teacher, features, seen, centre, scale, temperature, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heads = {head.kind: head for head in (_linear(lesson), _mlp(lesson, seed))}
    agreement = {kind: lesson.agreement(head) for kind, head in heads.items()}
    head = max(heads.values(), key=lambda one: agreement[one.kind])  # the first of equals
    _fold(head, centre, scale)
    network = Network(copy.deepcopy(teacher.encoder), head)
    return Student(network.requires_grad_(False).eval(), agreement)


def _lesson(
    teacher: Network,
    features: npt.NDArray[np.float32],
    seen: npt.NDArray[np.float32],
    centre: Tensor,
    scale: Tensor,
    temperature: float,
    seed: int,
) -> _Lesson:
    """What the teacher says of the records, and of pairs mixed where records are few."""
    asked = partial(_asked, teacher.head, temperature)
    own, left_out = torch.from_numpy(np.array(features)), torch.from_numpy(np.array(seen))
    weights = torch.full((len(own),), 1 / len(own))
    if (missing := _ENOUGH - len(own)) > 0:
        mixed = _mixed(own, (own - centre) / scale, missing, np.random.default_rng([seed, 1]))
        # However many pairs there are, the records themselves count half at least.
        counted = min(missing, len(own)) / len(own)
        weights = torch.cat([weights, torch.full((missing,), counted / missing)]) / (1 + counted)
        own = torch.cat([own, mixed])
    return _Lesson(
        (own - centre) / scale, asked(own), weights, (left_out - centre) / scale, asked(left_out)
    )


def _mixed(own: Tensor, standard: Tensor, number: int, rng: np.random.Generator) -> Tensor:
    """(number, width) pairs of records, one half of near ones, mixed in one of two ways each."""
    nearest = torch.cat(
        [
            torch.cdist(part, standard).topk(min(_NEAR + 1, len(own)), largest=False).indices
            for part in torch.split(standard, _ASKED)
        ]
    ).numpy()  # a record is its own nearest; drawing it asks about the record itself
    one, far = rng.integers(len(own), size=(2, number))
    near = nearest[one, rng.integers(nearest.shape[1], size=number)]
    other = np.where(rng.uniform(size=number) < 0.5, near, far)
    share = rng.uniform(size=(number, 1))
    swapped = rng.uniform(size=(number, own.shape[1])) < 0.5
    shares = np.where(rng.uniform(size=(number, 1)) < 0.5, swapped, share).astype(np.float32)
    mixed: Tensor = torch.from_numpy(shares) * (own[one] - own[other]) + own[other]
    return mixed


@torch.inference_mode()
def _said(head: Head, temperature: float, features: Tensor) -> Tensor:
    parts = [head(part).double() for part in torch.split(features, _ASKED)]
    return (torch.cat(parts) / temperature).softmax(-1).float()


def _asked(head: Head, temperature: float, features: Tensor) -> Tensor:
    """(n, k) the teacher's probabilities."""
    was_training = head.training
    said = _said(head.eval(), temperature, features)
    head.train(was_training)
    return said.clone()  # outside of inference mode, so that it may take part in a gradient


def _standard(features: npt.NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """(width,) means and scales; a column that hardly varies is not blown up."""
    values = torch.from_numpy(np.array(features)).double()
    variance = values.var(0, correction=0)
    scale = (variance + 0.01 * variance.mean()).sqrt()
    return values.mean(0).float(), torch.where(scale > 0, scale, 1.0).float()


def _cross_entropy(outputs: Tensor, probabilities: Tensor) -> Tensor:
    """(n,) of the outputs with the teacher's probabilities."""
    return -(probabilities * F.log_softmax(outputs, -1)).sum(-1)


def _linear(lesson: _Lesson) -> LinearHead:
    """All records at once, from the strongest penalty to the weakest that pays."""
    head = LinearHead(lesson.features.shape[1], lesson.probabilities.shape[1])
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    best, least = copy.deepcopy(head), lesson.surprise(head)
    for penalty in _PENALTIES:
        steps = torch.optim.LBFGS(
            head.parameters(), max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
        )

        def cost(penalty: float = penalty, steps: torch.optim.LBFGS = steps) -> Tensor:
            steps.zero_grad()
            loss = lesson.weights @ _cross_entropy(head(lesson.features), lesson.probabilities)
            loss = loss + penalty / 2 * head.weight.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        steps.step(cost)  # type: ignore[no-untyped-call]
        surprise = lesson.surprise(head)
        if surprise >= least:
            break
        best, least = copy.deepcopy(head), surprise
    return best


def _mlp(lesson: _Lesson, seed: int) -> MLPHead:
    """In batches, with a rate that falls to zero; the weights that did best on records left out."""
    width, classes = lesson.features.shape[1], lesson.probabilities.shape[1]
    head = MLPHead(width, _HIDDEN, classes)
    draws = np.random.default_rng([seed, 2])
    reach = np.cumsum(lesson.weights.double().numpy())
    least_steps, most_steps = _STEPS
    operations = 6 * _BATCH * _HIDDEN * (width + classes)
    total = int(min(max(_WORK / operations, least_steps), most_steps))
    steps = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=_DECAY)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(steps, total)
    best, least, waited = copy.deepcopy(head), lesson.surprise(head), 0
    for step in range(1, total + 1):
        place = np.searchsorted(reach, draws.uniform(high=reach[-1], size=_BATCH), "right")
        drawn = torch.from_numpy(np.minimum(place, len(reach) - 1))
        outputs = head(lesson.features[drawn])
        steps.zero_grad()
        _cross_entropy(outputs, lesson.probabilities[drawn]).mean().backward()  # type: ignore[no-untyped-call]
        steps.step()
        falling.step()
        if step % max(total // _LOOKS, 1) and step < total:
            continue
        surprise, waited = lesson.surprise(head), waited + 1
        if surprise < least:
            best, least, waited = copy.deepcopy(head), surprise, 0
        if waited >= _PATIENCE:
            break
    return best


@torch.no_grad()
def _fold(head: Head, centre: Tensor, scale: Tensor) -> None:
    """Let the first matrix read features as they are, where it has learnt from standard ones."""
    first = head.first if isinstance(head, MLPHead) else head
    assert isinstance(first, nn.Linear)
    weight = first.weight.double() / scale.double()
    first.bias.copy_(first.bias.double() - weight @ centre.double())
    first.weight.copy_(weight)
