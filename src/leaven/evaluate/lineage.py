"""Which labels taught a run, and which runs a label taught.

A run keeps the labels that it was given (`labels.parquet`): of each the record, who or what gave
it, and its origin: `given` in the data, by a `person` since, or by a `rule`, which is a guess. So
when somebody's labels turn out to be wrong one knows what must be made anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leaven.evaluate.folder import read_json
from leaven.evaluate.tables import read_parquet
from leaven.learn.label_models import majority

if TYPE_CHECKING:
    from leaven.data.dataset import Dataset
    from leaven.evaluate.run import Run  # loads torch, which who only reads the file does without

__all__ = ["FILE", "Taught", "labels_table", "rounds", "taught_runs"]

_STOP_SET = 2000  # records by which runs are compared
#: The file of a run's labels, within its folder.
FILE = "labels.parquet"
_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "content", "label", "origin", "by")])


@dataclass(frozen=True)
class Taught:
    """A run that labels taught: how many of those asked about, and the command that makes it anew.

    `labels` is None where the run keeps no labels, for it was made by an earlier version.
    """

    run: str
    created: str
    command: str
    labels: int | None


def labels_table(dataset: Dataset) -> pa.Table:
    """One row a label: `id`, `content`, `label`, `origin`, and `by`, the person or the file.

    Of a record that rules vote on there is one with the class that most of them name, null in a
    tie; `by` names the rules' file and what it held.
    """
    known = dataset.labelled
    people: list[str | None] = [None] * len(known)
    if dataset.meta is not None and "by" in dataset.meta.column_names:
        people = dataset.meta["by"].take(pa.array(known)).to_pylist()
    file = Path(dataset.source).name or dataset.name
    rows = [
        known,
        [dataset.labels[int(i)].as_py() for i in known],
        ["given" if who is None else "person" for who in people],
        [who or file for who in people],
    ]
    tables = [_table(dataset, *rows)]
    if dataset.votes is not None:
        assert dataset.meta is not None
        codes, open_ = dataset.votes, dataset.unlabelled
        voted = open_[(codes[open_] >= 0).any(1)]
        named = majority(codes[voted], len(dataset.classes)).named()
        labels = [dataset.classes[one] if one >= 0 else None for one in named.tolist()]
        told = (dataset.meta.schema.field("votes").metadata or {}).get(b"rules", b"rules").decode()
        tables.append(_table(dataset, voted, labels, ["rule"] * len(voted), [told] * len(voted)))
    return pa.concat_tables(tables)


def taught_runs(
    folder: Path,
    *,
    contents: Collection[str] = (),
    ids: Collection[str] = (),
    by: str | None = None,
) -> list[Taught]:
    """The runs in `folder` that these labels taught, the oldest first.

    Parameters
    ----------
    contents, ids : of the records; both empty for those of all.
    by : who or what gave the labels; one of several people who agreed is enough.

    Runs that keep no labels are listed too, with None: they may have been.
    """
    found = []
    for story in sorted(folder.glob("*/run.json")):
        try:
            told = read_json(story)["run"]
            made = {name: str(told[name]) for name in ("id", "created", "command")}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged run is told of where it is opened
        labels: int | None = None
        if (story.parent / FILE).is_file():
            labels = _matching(story.parent / FILE, contents, ids, by)
        if labels is None or labels:
            found.append(Taught(made["id"], made["created"], made["command"], labels))
    return sorted(found, key=lambda one: (one.created, one.run))


def rounds(run: Run) -> list[npt.NDArray[np.int64]]:
    """What each run of the same data says of the same unlabelled records, the oldest first.

    (n,) class positions of records that no run had a label of, up to this run; 2000 at most. Runs
    with other classes are left out.
    """
    told = run.story
    kept: list[tuple[str, dict[str, str]]] = []
    for file in run.folder.resolve().parent.glob("*/run.json"):
        try:
            other = read_json(file)
            alike = other["dataset"]["name"] == told["dataset"]["name"]
            alike = alike and other["dataset"]["classes"] == told["dataset"]["classes"]
            if not alike or other["run"]["created"] > told["run"]["created"]:
                continue
            table = read_parquet(file.parent / "predictions.parquet", ["id", "prediction"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged run is told of where it is opened
        pairs = zip(table["id"].to_pylist(), table["prediction"].to_pylist(), strict=True)
        kept.append((str(other["run"]["created"]), dict(pairs)))
    said = [answers for _, answers in sorted(kept, key=lambda one: one[0])]
    common = sorted(set.intersection(*map(set, said))) if said else []
    if not common:
        return []
    drawn = np.random.default_rng(0).permutation(len(common))[:_STOP_SET].tolist()
    place = {name: i for i, name in enumerate(told["dataset"]["classes"])}
    return [np.array([place[one[common[i]]] for i in drawn], np.int64) for one in said]


def _matching(file: Path, contents: Collection[str], ids: Collection[str], by: str | None) -> int:
    table = read_parquet(file, ["id", "content", "by"])
    kept = np.ones(table.num_rows, np.bool_)
    if contents or ids:
        kept = np.isin(table["content"].to_numpy(zero_copy_only=False), list(contents))
        kept |= np.isin(table["id"].to_numpy(zero_copy_only=False), list(ids))
    if by is not None:
        givers = table["by"].to_pylist()
        kept &= np.array([by == who or by in who.split(", ") for who in givers], np.bool_)
    return int(kept.sum())


def _table(
    dataset: Dataset, rows: object, labels: object, origins: object, givers: object
) -> pa.Table:
    index = np.asarray(rows, np.int64)
    columns = [dataset.ids[index].tolist(), dataset.content[index].tolist()]
    return pa.table([*columns, labels, origins, givers], schema=_SCHEMA)
