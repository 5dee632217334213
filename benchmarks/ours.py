"""Leaven as a user calls it, and the three models of its run on the test records.

The run holds the model that ships and the one that it was compared with: one of them is the
method's own, the other its supervised baseline. The verdict, which knows nothing of the test
records, says which one ships.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    method: str,
    task: Task,
    budget: str,
    seed: int,
    home: Path,
    encoder: str = "",
    shares: Mapping[str, float] | None = None,
) -> tuple[Run, Callable[[], dict[str, list[str]]]]:
    """Fit; returns the run, and what answers for the test records.

    `encoder` is the folder of a sentence encoder, for texts alone; `shares` are those of the
    classes, where they are told. The answers are those of
    `shipped`, `method` and `baseline`. Whatever model else has a name there is scored too, and has
    a column on the page.
    """
    import leaven

    _forget(task.name)
    run = leaven.fit(
        training(task),
        method=method,
        encoder=encoder if encoder and task.modality == "text" else None,
        budget=budget,
        seed=seed,
        shares=shares,
        out=home,
        fresh=True,
    )
    return run, lambda: _answers(run, task)


def _forget(name: str) -> None:
    """Take from Leaven's experience what it owes to this set: in the race it must not know it."""
    from benchmarks.choosing import ROWS, table_of
    from benchmarks.grid import repository
    from benchmarks.results import read
    from leaven.learn import history

    rows = read(repository() / ROWS)
    if any(row["set"] == name for row in rows):
        history.shipped = lambda: table_of(rows, without=name)


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
        "encoder": Path(run.story["recipe"]["encoder"]).name,
        "steps": run.story.get("cost", {}).get("steps"),
    }


def training(task: Task) -> Dataset:
    """The few labels and the unlabelled records as one set."""
    import numpy as np
    import pyarrow as pa

    from leaven import Dataset

    if isinstance(task.train, np.ndarray):
        labels = np.array(task.labels, object)
        return Dataset.from_arrays(
            task.train, labels, modality=task.modality, edges=task.edges, name=task.name
        )
    table = task.train.append_column("label", pa.array(task.labels, pa.string()))
    return Dataset.from_frame(table, label="label", modality=task.modality, name=task.name)


def testing(task: Task, columns: list[dict[str, Any]]) -> Dataset:
    """The test records with the training records' columns, each named by its number.

    Of a graph these are all nodes, for they are judged within it.
    """
    import numpy as np
    import pyarrow as pa

    from leaven import Dataset
    from leaven.data.dataset import Column

    numbers = [str(i) for i in range(len(task.test))]
    if isinstance(task.test, np.ndarray):
        return Dataset.from_arrays(task.test, modality=task.modality, ids=numbers, edges=task.edges)
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
    shipped = _answer(run.predictor, test, task)
    alone = verdict.method == verdict.baseline
    other = shipped if alone else _answer(run.compared, test, task)
    kept_method = verdict.kept == verdict.method
    return {
        "shipped": shipped,
        "method": shipped if kept_method else other,
        "baseline": other if kept_method else shipped,
        "balanced": _answer(run.predictor.balanced(), test, task),
    }


def _answer(predictor: Predictor, test: Dataset, task: Task) -> list[str]:
    read, probabilities = predictor.predict(test)
    answers = [""] * len(task.test)
    for number, best in zip(read.ids, probabilities.argmax(1), strict=True):
        answers[int(number)] = predictor.classes[best]
    return answers if task.judged is None else [answers[i] for i in task.judged.tolist()]
