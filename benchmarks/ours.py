"""Leaven as a user calls it, and the three models of its run on the test records.

The run holds the model that ships and the one that it was compared with: one of them is the
method's own, the other its supervised baseline. The verdict, which knows nothing of the test
records, says which one ships.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.sets import Task
    from leaven.data.dataset import Dataset
    from leaven.evaluate.run import Run
    from leaven.learn.predictor import Predictor

__all__ = ["describe", "fit_ours", "testing", "training"]

_NUMBER = "number of the record"


def fit_ours(
    method: str, task: Task, budget: str, seed: int, home: Path
) -> tuple[Run, Callable[[], dict[str, list[str]]]]:
    """Fit; returns the run, and what answers for the test records.

    The answers are those of `shipped`, `method` and `baseline`.
    """
    import leaven

    run = leaven.fit(training(task), method=method, budget=budget, seed=seed, out=home, fresh=True)
    return run, lambda: _answers(run, task)


def describe(run: Run) -> dict[str, Any]:
    """What the run decided, and what it says of its own accuracy."""
    verdict, said = run.verdict, run.metrics.get("accuracy")
    return {
        "method": verdict.method,
        "baseline": verdict.baseline,
        "kept": verdict.kept,
        "outcome": verdict.outcome,
        "judged": verdict.n,
        "said": None if said is None else [said.value, said.low, said.high],
        "encoder": run.story["recipe"]["encoder"],
        "steps": run.story.get("cost", {}).get("steps"),
    }


def training(task: Task) -> Dataset:
    """The few labels and the unlabelled records as one set."""
    import numpy as np
    import pyarrow as pa

    from leaven import Dataset

    if isinstance(task.train, np.ndarray):
        return Dataset.from_arrays(
            task.train, np.array(task.labels, object), modality=task.modality, name=task.name
        )
    table = task.train.append_column("label", pa.array(task.labels, pa.string()))
    return Dataset.from_frame(table, label="label", modality=task.modality, name=task.name)


def testing(task: Task, columns: list[dict[str, Any]]) -> Dataset:
    """The test records with the training records' columns, each named by its number."""
    import numpy as np
    import pyarrow as pa

    from leaven import Dataset
    from leaven.data.dataset import Column

    numbers = [str(i) for i in range(len(task.truth))]
    if isinstance(task.test, np.ndarray):
        return Dataset.from_arrays(task.test, modality=task.modality, ids=numbers)
    return Dataset.from_frame(
        task.test.append_column(_NUMBER, pa.array(numbers)),
        label=False,
        modality=task.modality,
        id=_NUMBER,
        columns=[Column(**column) for column in columns],
    )


def _answers(run: Run, task: Task) -> dict[str, list[str]]:
    """The labels that each model gives; a record that cannot be read has an empty one."""
    test, verdict = testing(task, run.story["dataset"]["columns"]), run.verdict
    unheard = set(run.classes) - {label for label in task.labels if label is not None}
    if unheard:
        raise ValueError(f"The run renamed labels, so that none can be compared: {unheard}.")
    shipped = _answer(run.predictor, test, len(task.truth))
    alone = verdict.method == verdict.baseline
    other = shipped if alone else _answer(run.compared, test, len(task.truth))
    kept_method = verdict.kept == verdict.method
    return {
        "shipped": shipped,
        "method": shipped if kept_method else other,
        "baseline": other if kept_method else shipped,
    }


def _answer(predictor: Predictor, test: Dataset, n: int) -> list[str]:
    read, probabilities = predictor.predict(test)
    answers = [""] * n
    for number, best in zip(read.ids, probabilities.argmax(1), strict=True):
        answers[int(number)] = predictor.classes[best]
    return answers
