"""Data as a user gives it to a verb: a path, a list of paths, a data frame, or a Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leaven.core.errors import LeavenError
from leaven.data.dataset import Dataset
from leaven.data.joined_labels import join_labels

__all__ = ["given", "given_labelled_or_not", "given_with_answers"]


def given(data: Any, **how: Any) -> Dataset:
    """A Dataset as it is, a path read, anything else as a data frame."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | Path) or (
        isinstance(data, list) and all(isinstance(d, str | Path) for d in data)
    ):
        return Dataset.read(data, **how)
    how.pop("labels")
    return Dataset.from_frame(data, **how)


def given_labelled_or_not(data: Any, reading: dict[str, Any]) -> Dataset:
    """The data with their labels, or without where none are named and none can be found.

    A table's labels must be named, or the column would be taken for a feature.
    """
    try:
        return given(data, **reading)
    except LeavenError:
        if reading["label"] is not None:
            raise
        dataset = given(data, **reading | {"label": False})
        if dataset.modality == "tabular":
            raise
        return dataset


def given_with_answers(data: Any, answers: str | Path | None, **reading: Any) -> Dataset:
    """The data with the labels of a table, see `join_labels`; they may be the only ones."""
    if answers is None:
        return given(data, **reading)
    try:
        dataset = given(data, **reading)
    except LeavenError:
        if reading["label"] is not None:
            raise
        dataset = given(data, **reading | {"label": False})
    return join_labels(dataset, answers)
