"""What every encoder must keep, on records of its modality."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import MODALITIES, Modality, Spec
from leaven.learn.contracts.check import Check, require, run_all
from leaven.learn.encoder import ENCODERS, Encoder

__all__ = ["ENCODER_CHECKS", "check_encoder"]


@dataclass(frozen=True)
class _Subject:
    """An encoder's class, and decoded records that it reads."""

    kind: type[Encoder]
    views: Modality
    spec: Spec
    arrays: Arrays

    @property
    def rows(self) -> Index:
        """All records."""
        return np.arange(len(self.arrays))

    def built(self, arrays: Arrays | None = None, index: Index | None = None) -> Encoder:
        """A new encoder, drawn with one and the same seed, in evaluation mode."""
        torch.manual_seed(0)
        encoder = self.kind(**self.kind.configure(self.spec))
        encoder.prepare(self.arrays if arrays is None else arrays, self._or_all(index), 0)
        return encoder.eval()

    def seen(self, index: Index | None = None) -> Batch:
        """The unchanged view of some records, or of all."""
        return self.views.plain(self.arrays.batch(self._or_all(index)))

    def _or_all(self, index: Index | None) -> Index:
        return self.rows if index is None else index


def check_encoder(name: str, dataset: Dataset) -> list[str]:
    """Hold the encoder of this name to all checks, on records of its modality.

    Returns the checks' names. Raises BrokenContract at the first that fails.
    """
    kind = ENCODERS[name]
    views = MODALITIES[kind.modality]
    spec = views.describe(dataset)
    arrays, _ = views.decode(dataset, spec)
    return run_all(ENCODER_CHECKS, _Subject(kind, views, spec, arrays), name)


def _as_wide_as_it_says(subject: _Subject) -> None:
    encoder = subject.built()
    with torch.no_grad():
        features = encoder(subject.seen())
    wanted = (len(subject.arrays), encoder.width)
    require(tuple(features.shape) == wanted, f"features are {tuple(features.shape)}, not {wanted}")
    require(bool(features.isfinite().all()), "features are not all finite")
    require(bool((features.std(0) > 0).any()), "all records have the same features")


def _every_tensor_learns(subject: _Subject) -> None:
    encoder = subject.built().train()
    features = encoder(subject.seen())
    named = dict(encoder.named_parameters())
    trained = {name: p for name, p in named.items() if p.requires_grad}
    if trained:
        # Random weights: the plain sum of a normalised layer has no gradient.
        (features * torch.randn(features.shape)).sum().backward()
    else:
        require(not features.requires_grad, "a frozen encoder keeps a graph")
    idle = [n for n, p in trained.items() if p.grad is None or not bool(p.grad.any())]
    require(not idle, f"no gradient reaches: {', '.join(idle)}")
    frozen = [n for n, p in named.items() if n not in trained and p.grad is not None]
    require(not frozen, f"a gradient reaches frozen tensors: {', '.join(frozen)}")


def _rebuilt_from_its_description(subject: _Subject) -> None:
    """What is saved is the plain JSON of its configuration, and its tensors."""
    encoder = subject.built()
    again = subject.kind(**json.loads(json.dumps(encoder.config)))
    again.load_state_dict(encoder.state_dict())
    batch = subject.seen()
    with torch.no_grad():
        same = torch.equal(encoder(batch), again.eval()(batch))
    require(same and again.width == encoder.width, "rebuilt and loaded, it says otherwise")


def _a_record_stands_alone(subject: _Subject) -> None:
    """Its features in evaluation mode do not depend on which others share its batch."""
    encoder = subject.built()
    with torch.no_grad():
        together = encoder(subject.seen())
        alone = torch.cat([encoder(subject.seen(np.array([row]))) for row in subject.rows])
    apart = float((together - alone).abs().max())
    require(apart <= 1e-4, f"features change by up to {apart:.2g} with the rest of the batch")


def _prepares_from_its_records_only(subject: _Subject) -> None:
    """Records outside the index, a holdout among them, leave no trace."""
    half = subject.rows[: len(subject.rows) // 2]
    others = subject.arrays.take(np.concatenate([half, half]))
    one, other = subject.built(index=half), subject.built(others, half)
    mine, theirs = one.state_dict(), other.state_dict()
    differ = [name for name in mine if not torch.equal(mine[name], theirs[name])]
    require(not differ, f"records it was not given, or chance, decide: {', '.join(differ)}")


ENCODER_CHECKS: tuple[Check, ...] = (
    Check("as wide as it says", _as_wide_as_it_says),
    Check("every tensor learns", _every_tensor_learns),
    Check("rebuilt from its description", _rebuilt_from_its_description),
    Check("a record stands alone", _a_record_stands_alone),
    Check("prepares from its records only", _prepares_from_its_records_only),
)
