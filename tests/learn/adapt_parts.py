"""What the tests of adaptation share: small problems for every encoder, and fits of them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from leaven.core.recipe import Training
from leaven.data.modality import MODALITIES
from leaven.learn.contracts import made_problem
from leaven.learn.contracts.made_records import MADE_RECORDS
from leaven.learn.encoder import ENCODERS
from leaven.learn.method import METHODS, Problem, Step
from leaven.learn.network import Network

_LABELLED, _UNLABELLED = 12, 8


def made(encoder: str, steps: int = 3, **training: Any) -> Problem:
    """A dozen labels of four kinds of records that the encoder reads."""
    settings: dict[str, Any] = {"labelled_batch": 6, "unlabelled_ratio": 1, "precision": "32-true"}
    chosen = Training(**settings | training)
    modality = ENCODERS[encoder].modality
    if modality == "graph":
        problem = made_problem(METHODS["correct-smooth"], steps=steps).problem
        return replace(problem, encoder=encoder, training=chosen)
    dataset, kinds = MADE_RECORDS[modality](_LABELLED + _UNLABELLED, 0)
    views = MODALITIES[modality]
    spec = views.describe(dataset)
    train = np.arange(_LABELLED)
    return Problem(
        arrays=views.decode(dataset, spec)[0],
        spec=spec,
        modality=modality,
        task="classification",
        classes=4,
        targets=np.where(np.arange(len(kinds)) < _LABELLED, kinds, -1),
        train=train,
        unlabelled=np.arange(_LABELLED, len(kinds)),
        encoder=encoder,
        steps=steps,
        training=chosen,
    )


def fit(
    problem: Problem, method: str = "fixmatch", checkpoint: Path | None = None
) -> tuple[Network, list[Step]]:
    steps, fit = [], METHODS[method].fit(problem, checkpoint)
    while True:
        try:
            steps.append(next(fit))
        except StopIteration as done:
            return done.value, steps


def begun(problem: Problem, method: str = "fixmatch") -> tuple[Any, Any]:
    """A fit after its first step, and its state; resumed, it goes on."""
    fit = METHODS[method].fit(problem)
    return fit, next(fit).state


def ended(fit: Generator[Step, None, Network]) -> Network:
    """What a fit returns, after all its steps."""
    while True:
        try:
            next(fit)
        except StopIteration as done:
            return done.value


def seen(problem: Problem) -> Any:
    rows = np.arange(min(len(problem.arrays), 16))
    return problem.views.plain(problem.arrays.batch(rows))
