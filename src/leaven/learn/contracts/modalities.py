"""What every modality must keep, on a few of its records."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch

from leaven.core.errors import SettingError
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Modality, Spec
from leaven.learn.contracts.check import Check, require, run_all
from leaven.learn.encoder import ENCODERS

__all__ = ["MODALITY_CHECKS", "check_modality"]

_SHOWN = {"image": "png", "audio": "wav", "text": "text", "row": "cells", "series": "channels"}


@dataclass(frozen=True)
class _Subject:
    """A modality, and a few of its records."""

    name: str
    modality: Modality
    dataset: Dataset
    spec: Spec
    arrays: Arrays

    def batch(self) -> Batch:
        """The first record as often as all of them together, then all of them."""
        rows = np.arange(len(self.arrays))
        return self.arrays.batch(np.concatenate([np.zeros_like(rows), rows]))

    def views(self) -> dict[str, Callable[[Batch, int], Batch]]:
        """The weak, the strong and any steered view, each by a batch and a seed."""
        drawn = {"weak": self.modality.weak, "strong": self.modality.strong}
        if dials := self.modality.dials(self.spec):
            rates = torch.ones(dials)
            drawn["steered"] = lambda batch, spec, rng: self.modality.steered(
                batch, spec, rng, rates
            )[0]
        return {
            name: lambda batch, seed, draw=draw: draw(  # type: ignore[misc]
                batch, self.spec, torch.Generator().manual_seed(seed)
            )
            for name, draw in drawn.items()
        }


def check_modality(name: str, dataset: Dataset) -> list[str]:
    """Hold the modality of this name to all checks, on some readable records that differ.

    Returns the checks' names. Raises BrokenContract at the first that fails.
    """
    modality = MODALITIES[name]
    spec = modality.describe(dataset)
    arrays, rejected = modality.decode(dataset, spec)
    require(not rejected, f"{name!r} cannot decode all of the records it is to be checked on")
    return run_all(MODALITY_CHECKS, _Subject(name, modality, dataset, spec, arrays), name)


def _spec_is_plain(subject: _Subject) -> None:
    """It is stored beside the model as JSON, and no label may be in it."""
    require(json.loads(json.dumps(subject.spec)) == subject.spec, "its spec is not plain JSON")
    blind = replace(subject.dataset, labels=pa.nulls(len(subject.dataset), pa.string()))
    require(subject.modality.describe(blind) == subject.spec, "its spec depends on the labels")


def _decodes_each_by_itself(subject: _Subject) -> None:
    """A record gives the same arrays whatever others are decoded with it.

    Where records share something, as nodes their graph, it is another one with fewer of them.
    """
    require(len(subject.arrays) == len(subject.dataset), "it gives not one place a record")
    if subject.arrays.shared:
        return
    rows = np.arange(len(subject.dataset))[::-2].copy()
    some, _ = subject.modality.decode(subject.dataset.select(rows), subject.spec)
    for name in subject.arrays.names:
        same = np.array_equal(some[name], subject.arrays[name][rows], equal_nan=True)
        require(same, f"array {name!r} of a record depends on the others")


def _views_keep_the_shape(subject: _Subject) -> None:
    """The encoder reads all three views alike; the batch they are drawn from stays as it was."""
    batch, kept = subject.batch(), subject.batch()
    plain = {name: (t.shape, t.dtype) for name, t in subject.modality.plain(batch).items()}
    for which, draw in subject.views().items():
        view = {name: (t.shape, t.dtype) for name, t in draw(batch, 0).items()}
        require(view == plain, f"the {which} view gives {view}, the plain one {plain}")
    require(_equal(batch, kept), "a view changes the records it is drawn from")


def _generator_decides(subject: _Subject) -> None:
    batch = subject.batch()
    for which, draw in subject.views().items():
        torch.manual_seed(1)
        one = draw(batch, 0)
        torch.manual_seed(2)
        require(_equal(one, draw(batch, 0)), f"the {which} view is not its generator's alone")
        require(not _equal(one, draw(batch, 1)), f"the {which} view is the same for another seed")


def _one_parameter_a_record(subject: _Subject) -> None:
    """Copies of one record get views that differ, or a batch would be one view many times.

    A view of what all records share, as a graph, is one for the batch: it differs between nodes.
    """
    if subject.arrays.shared:
        return
    copies = len(subject.arrays)
    for which, draw in subject.views().items():
        view = draw(subject.batch(), 0)
        rows = {
            b"".join(t[i].contiguous().numpy().tobytes() for t in view.values())
            for i in range(copies)
        }
        few = 1 if which == "weak" else copies // 4
        require(len(rows) > few, f"{copies} copies of a record have {len(rows)} {which} views")


def _steering_obeys(subject: _Subject) -> None:
    """What was drawn says so, and rates decide; a modality without dials refuses to be steered."""
    batch, dials = subject.batch(), subject.modality.dials(subject.spec)
    size = 2 * len(subject.arrays)
    rng = torch.Generator().manual_seed(0)
    if dials is None:
        try:
            subject.modality.steered(batch, subject.spec, rng, None)
        except SettingError:
            return
        require(False, "it has no dials, and is steered all the same")
    assert dials is not None
    operations, bins = dials
    rates = torch.zeros(dials)
    rates[:, 0] = 1.0
    _, drawn = subject.modality.steered(batch, subject.spec, rng, rates)
    require(
        len(drawn.which) == size and drawn.which.shape == drawn.bin.shape, "it hides what it drew"
    )
    require(bool((drawn.bin == 0).all()), "bins of rate zero are drawn")
    _, drawn = subject.modality.steered(batch, subject.spec, rng, None)
    within = bool((drawn.which < operations).all() and (drawn.bin < bins).all())
    require(within, f"it draws outside its {operations} operations and {bins} bins")
    learnt = drawn.learn(torch.ones(dials), torch.zeros(size))
    lowered = torch.zeros(dials, dtype=torch.bool)
    lowered[drawn.which, drawn.bin] = True
    require(torch.equal(learnt < 1, lowered), "others are blamed than the bins that were drawn")


def _names_its_encoders(subject: _Subject) -> None:
    for name in (subject.modality.encoder, subject.modality.features):
        require(name in ENCODERS, f"its encoder {name!r} is not registered")
        reads = ENCODERS[name].modality
        require(reads == subject.name, f"its encoder {name!r} reads records of {reads!r}")


def _shows_a_record(subject: _Subject) -> None:
    shown = json.loads(json.dumps(subject.modality.show(subject.dataset, 0)))
    content = _SHOWN.get(shown.get("kind", ""), "")
    require(bool(shown.get(content)), f"it shows a record as {shown!r:.80}, which no page can")


def _equal(one: Batch, other: Batch) -> bool:
    """To the bit, missing numbers included."""
    return one.keys() == other.keys() and all(
        torch.equal(one[n].nan_to_num(), other[n].nan_to_num())
        and torch.equal(one[n].isnan(), other[n].isnan())
        for n in one
    )


MODALITY_CHECKS: tuple[Check, ...] = (
    Check("the spec is plain", _spec_is_plain),
    Check("decodes each by itself", _decodes_each_by_itself),
    Check("views keep the shape", _views_keep_the_shape),
    Check("the generator decides", _generator_decides),
    Check("one parameter a record", _one_parameter_a_record),
    Check("steering obeys", _steering_obeys),
    Check("names its encoders", _names_its_encoders),
    Check("shows a record", _shows_a_record),
)
