"""From a run to questions: which of its records people are asked about, and why.

And from records alone, before there is a label or a run: `cold`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from leaven.core.errors import DataError, SettingError
from leaven.data.dataset import Dataset
from leaven.data.modality import Modality, Spec
from leaven.evaluate.run import Run
from leaven.label.asking.pool import Numbers, Pool
from leaven.label.asking.rehearsal import ENOUGH, Rehearsal, rehearse
from leaven.label.asking.seen import Seen
from leaven.label.asking.strategies.committee import Member, bagged, gathered
from leaven.label.asking.strategy import STRATEGIES, ask, caution, chosen
from leaven.label.queue import Ask
from leaven.learn.encoder import ENCODERS, Encoder, listed
from leaven.learn.extractor import find_extractor
from leaven.learn.front import Front
from leaven.learn.head import Head
from leaven.learn.heads.blend import BlendHead
from leaven.learn.label_noise import Share
from leaven.learn.predictor import Predictor
from leaven.learn.start import find_start

__all__ = ["Queried", "cold", "query"]

_COMMITTEE = 3  # components from which a blend is one


@dataclass(frozen=True)
class Queried:
    """Questions about the records that are worth most, the first first, and who chose them.

    `precision` is the share of them that is expected to be wrong, where labels are doubted;
    `caution` says what speaks against the strategy, `rehearsal` what it would have gained on the
    labels that there are, where these are enough to try.
    """

    strategy: str
    asks: tuple[Ask, ...]
    unreadable: int
    precision: Share | None = None
    caution: str = ""
    rehearsal: Rehearsal | None = None


def query(
    run: Run,
    dataset: Dataset,
    count: int,
    *,
    strategy: str = "auto",
    explore: float = 0.1,
    wanted: int = 1,
    waiting: Sequence[str] = (),
    rehearsed: bool = True,
    seed: int = 0,
) -> Queried:
    """The `count` unlabelled records of `dataset` that are worth most to the run's model.

    A strategy that reads a committee gets the components of the run's blend, where these are three
    or more, and else models that are taught draws of the labelled records (`bagged`). From 60
    labels on, the strategy is rehearsed on them (`rehearse`), some seconds of work.

    Parameters
    ----------
    explore : the share drawn at random, see `ask`.
    wanted : how many people are to answer each.
    waiting : ids of records that are asked about already, or answered.
    rehearsed : False for no rehearsal.

    Raises DataError where no record is left to ask about, and where a committee has nothing to be
    taught by; UnknownNameError for no strategy of that name.
    """
    reads_members = strategy != "auto" and "members" in STRATEGIES[strategy].needs
    seen, probabilities = Seen.by(run, dataset)
    pool = Pool(
        seen.labelled,
        probabilities=probabilities,
        embeddings=seen.embeddings,
        members=_committee(run.predictor, seen, seed) if reads_members else None,
        askable=seen.open(waiting),
        names=run.classes,
        seed=seed,
    )
    named = chosen(pool) if strategy == "auto" else strategy
    found = ask(pool, count, named, explore=explore, groups=seen.dataset.content)
    asks = seen.asks(found, named, probabilities, wanted)
    rehearsal = None
    if rehearsed and named != "random" and len(pool.known) >= ENOUGH:
        rehearsal = rehearse(pool, named, explore=explore, seed=seed)
    unreadable = len(dataset) - len(seen.dataset)
    return Queried(named, asks, unreadable, caution=caution(pool, named), rehearsal=rehearsal)


def cold(
    dataset: Dataset,
    classes: Sequence[str],
    count: int,
    *,
    strategy: str = "auto",
    encoder: str = "",
    explore: float = 0.0,
    wanted: int = 1,
    waiting: Sequence[str] = (),
    seed: int = 0,
) -> Queried:
    """The first `count` records to ask about, where there is neither a run nor a label.

    They are chosen by frozen features alone, those on which `leaven fit` would begin, learnt from
    the records without a label. `auto` asks for typical records (typiclust). Nothing is guessed.
    Records that have one of the classes for a label already count as known.

    Parameters
    ----------
    classes : the names that may be answered, two or more.
    encoder : a frozen encoder, the folder or hub name of one, or a pretraining run; by default
        the modality's.
    explore, wanted, waiting : as of `query`.

    Raises SettingError for fewer than two classes, for an encoder that needs training, and for a
    strategy that reads what a model says; DataError where no record can be read, or none is left.
    """
    names = _named(classes)
    if strategy != "auto":
        _ = STRATEGIES[strategy]
    if not len(dataset):
        raise DataError(f"'{dataset.name}' holds no record.")
    start = find_start(encoder, dataset.modality)
    extractor = find_extractor(encoder, dataset.modality) if start is None else None
    front = start.front if start else Front.describe(dataset, extractor)
    readable, arrays = front.readable(dataset)
    if not len(readable):
        raise DataError(f"None of the {len(dataset)} records of '{dataset.name}' can be read.")
    if start is not None:
        network = start.encoder
    else:
        network = _frozen(front.views, encoder if extractor is None else "", front.arrays_spec)
        network.prepare(arrays, np.arange(len(readable)), seed)
    seen = Seen(readable, arrays, network, front, names)
    pool = Pool(
        seen.labelled,
        embeddings=seen.embeddings,
        askable=seen.open(waiting),
        names=names,
        seed=seed,
    )
    named = chosen(pool) if strategy == "auto" else strategy
    found = ask(pool, count, named, explore=explore, groups=seen.dataset.content)
    asks = seen.asks(found, named, None, wanted)
    return Queried(named, asks, len(dataset) - len(seen.dataset))


def _frozen(views: Modality, name: str, spec: Spec) -> Encoder:
    """A frozen encoder of Leaven's own, the modality's where none is named."""
    kind = ENCODERS[name or views.features]
    if not kind.ready:
        ready = [one for one in listed(views.name) if ENCODERS[one].ready]
        wish = f"one whose features need no training: {', '.join(ready)}"
        raise SettingError("encoder", wish, name)
    return kind(**kind.configure(spec))


def _named(classes: Sequence[str]) -> tuple[str, ...]:
    """Names of classes, each once; SettingError for fewer than two."""
    given = [classes] if isinstance(classes, str) else list(classes)
    names = tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
    if len(names) < 2:
        raise SettingError("classes", "two names or more, none of them empty", given)
    return names


def _committee(predictor: Predictor, seen: Seen, seed: int) -> Numbers:
    """(m, n, k) what the components of the run's blend say, or else bagged models."""
    head = predictor.network.head
    k = len(predictor.classes)
    if isinstance(head, BlendHead) and len(head.heads) >= _COMMITTEE:
        pairs = zip(head.heads, head.temperatures.tolist(), strict=True)
        return gathered([_member(one, heat) for one, heat in pairs], seen.embeddings, k)
    if not (seen.labelled >= 0).any():
        raise DataError(
            f"A committee learns from labelled records, of which '{seen.dataset.name}' has none. "
            "Give those that the run was made of, or take another strategy, such as margin."
        )
    return bagged(seen.embeddings, seen.labelled, k, seed=seed)


def _member(head: Head, temperature: float) -> Member:
    @torch.inference_mode()
    def said(rows: Numbers) -> Numbers:
        outputs = head(torch.from_numpy(np.array(rows, np.float32)))
        told: Numbers = (outputs.double() / temperature).softmax(-1).numpy()
        return told

    return said
