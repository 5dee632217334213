"""The verbs for what people say: query, queue, review, labels in and out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import DataError
from leaven.core.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from leaven.evaluate.run import Run
    from leaven.label.queue import Queue

__all__ = ["STORE", "export", "import_labels", "query", "review", "rules", "status"]

#: The store that is used where none is named: beside the runs.
STORE = "leaven.db"

Listener = Callable[[Progress], None]


@dataclass(frozen=True)
class Asked:
    """What `query` put into a queue; `before` are the records that it held already."""

    queue: str
    store: str
    strategy: str
    added: int
    before: int
    unreadable: int
    precision: dict[str, Any] | None
    asks: tuple[dict[str, Any], ...]


def query(
    run: Run | str | Path,
    data: Any = None,
    *,
    count: int = 50,
    strategy: str = "auto",
    explore: float = 0.1,
    wanted: int = 1,
    suspects: bool = False,
    store: str | Path | None = None,
    queue: str | None = None,
    seed: int = 0,
    progress: Listener | None = None,
) -> Asked:
    """Put the records that are worth most to this run's model into the queue of its data.

    Parameters
    ----------
    data : the records, read as the run read them; by default those that it was fitted on.
    strategy : one of `leaven.label.strategy.STRATEGIES`, or `auto`.
    explore : the share of them drawn at random.
    wanted : how many different people are to answer each.
    suspects : ask about labelled records instead, those whose label is most probably wrong.
    store : a file or URL, see `Store`; by default `leaven.db` beside the run.
    queue : its name; by default that of the data.

    Raises LeavenError for data, names or a store that cannot be used.
    """
    from leaven.evaluate.run import Run
    from leaven.label.querying import doubt
    from leaven.label.querying import query as ask
    from leaven.label.queue import Queue
    from leaven.label.results import standing, waiting
    from leaven.store.store import Store

    tell = progress or (lambda _: None)
    opened_run = run if isinstance(run, Run) else Run.load(run)
    tell(Progress("reading the records"))
    dataset = opened_run.records(data)
    kept = Store(_address(opened_run, store))
    found = Queue.made(
        kept,
        queue or opened_run.story["dataset"]["name"],
        classes=opened_run.classes,
        modality=dataset.modality,
    )
    tell(Progress("looking for the records worth most"))
    known = sorted({one.record for one in standing(found)} | set(waiting(found)))
    how: dict[str, Any] = {"wanted": wanted, "waiting": known, "seed": seed}
    if suspects:
        asked = doubt(opened_run, dataset, count, **how)
    else:
        asked = ask(opened_run, dataset, count, strategy=strategy, explore=explore, **how)
    added = found.add(asked.asks)
    told = tuple(_told(one) for one in asked.asks)
    precision = asdict(asked.precision) if asked.precision else None
    return Asked(
        found.name, repr(kept), asked.strategy, added, len(known), asked.unreadable, precision, told
    )


def status(
    run: Run | str | Path, *, store: str | Path | None = None, queue: str | None = None
) -> dict[str, Any]:
    """How the queue goes on: counts, people, agreement, and records on which people differ."""
    from leaven.label.results import disputed, people, summary

    found = _queue(run, store, queue)
    told = summary(found)
    return {
        "queue": found.name,
        "classes": list(found.classes),
        "open": told.open,
        "done": told.done,
        "skipped": told.skipped,
        "agreement": asdict(told.agreement) if told.agreement else None,
        "people": [asdict(one) for one in people(found)],
        "disputed": disputed(found),
    }


def export(
    run: Run | str | Path,
    out: str | Path | None = None,
    *,
    store: str | Path | None = None,
    queue: str | None = None,
) -> pa.Table:
    """The labels that people gave, one row a record; see `label.results.labels`.

    Written to `out` as CSV, Parquet or JSON Lines by its ending. `leaven fit DATA --answers FILE`
    reads them.
    """
    from leaven.evaluate.tables import write_table
    from leaven.label.results import labels

    if out is not None:
        write_table(None, Path(out))
    table = labels(_queue(run, store, queue))
    if out is not None:
        write_table(table, Path(out))
    return table


def import_labels(
    run: Run | str | Path,
    file: str | Path,
    *,
    person: str,
    store: str | Path | None = None,
    queue: str | None = None,
) -> dict[str, int]:
    """Take answers that were given elsewhere: a table with `id` and `label`, perhaps `person`.

    Each becomes an answer of that person, to the task that waits for it or to a new one. The same
    file taken twice counts once. Returns `answers`, and `again` for those that were there.
    """
    from leaven.label.queue import Ask
    from leaven.label.results import standing, tasks_of

    found = _queue(run, store, queue)
    rows = _rows(file, found.classes)
    by_record = tasks_of(found, [name for name, _, _ in rows])
    new = [
        Ask(record=name, content="", kind="import") for name, _, _ in rows if name not in by_record
    ]
    found.add(new)
    by_record = tasks_of(found, [name for name, _, _ in rows])
    before = {(one.record, one.person, one.label) for one in standing(found)}
    again = 0
    for name, label, who in rows:
        who = who or person
        again += (name, who, label) in before
        key = hashlib.sha256("\x1f".join((found.name, name, who, label)).encode()).hexdigest()
        found.answer(by_record[name], who, label, key=key, note=f"from {Path(file).name}")
    return {"answers": len(rows), "again": again}


def review(
    run: Run | str | Path,
    *,
    person: str,
    port: int = 0,
    store: str | Path | None = None,
    queue: str | None = None,
    opened: Callable[[str], None],
) -> None:
    """Serve the page on which records are answered, on this machine, until Ctrl-C.

    The page shows the run's curve of labels. `opened` is called with the link that lets `person`
    in, once. Raises SettingError for a port that cannot be had.
    """
    from leaven.evaluate.run import Run
    from leaven.serve.review import serve

    found = run if isinstance(run, Run) else Run.load(run)
    points = (found.story.get("growth") or {}).get("labels") or []
    curve = [(one["size"], one["value"], one["low"], one["high"]) for one in points]
    serve(_queue(found, store, queue), person=person, port=port, opened=opened, curve=curve)


def rules(
    data: Any,
    file: str | Path,
    *,
    label: str | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Weak labels: what the rules of a TOML file say of the records, and what it amounts to.

    Votes are weighed by the accuracy of their rule on the labelled records; without any that a
    rule votes on, by how the rules agree (see `label_models.data_programming`).

    Parameters
    ----------
    data : a path, a Dataset or a data frame; labels are optional.
    file : see `label.rules.file` for the format.
    out : where the soft labels go, as predictions do; their `origin` is `rule`. Records on which
        no rule votes are not in it.
    """
    import pyarrow as pa

    from leaven.data.given import given_labelled_or_not
    from leaven.evaluate.tables import predictions_table, write_table
    from leaven.label.rules.file import read_rules
    from leaven.label.rules.votes import apply
    from leaven.learn.label_models import data_programming, weighted

    if out is not None:
        write_table(None, Path(out))
    read = read_rules(file)
    dataset = given_labelled_or_not(data, {"label": label, "labels": None})
    named = list(dict.fromkeys([*dataset.classes, *(read.classes or ())]))
    votes = apply(read.rules, dataset, classes=named or None)
    targets = votes.targets(dataset.labels.to_pylist())
    known = (targets >= 0) & (votes.codes >= 0).any(1)
    k = len(votes.classes)
    soft = weighted(votes.codes, targets, k) if known.any() else data_programming(votes.codes, k)
    if out is not None:
        kept = soft.voted
        table = predictions_table(votes.ids[kept], soft.probabilities[kept], votes.classes)
        origin = pa.array(["rule"] * int(kept.sum()))
        write_table(table.append_column("origin", origin), Path(out))
    return {
        "records": len(votes),
        "voted": int(soft.voted.sum()),
        "named": int((soft.named() >= 0).sum()),
        "weighed_by": "labelled records" if known.any() else "agreement of the rules",
        "note": soft.note,
        "rules": [asdict(row) for row in votes.table(targets)],
        "failures": [asdict(one) for one in votes.failures[:100]],
    }


def _rows(file: str | Path, classes: Sequence[str]) -> list[tuple[str, str, str]]:
    """Record, label and person of each row; DataError for what is none."""
    import pyarrow as pa

    from leaven.core.errors import UnknownNameError
    from leaven.data.labels import clean_labels
    from leaven.data.readers import read_tables

    table = read_tables([str(file)], None).table
    if not {"id", "label"} <= set(table.column_names):
        raise DataError(
            f"'{file}' needs the columns id and label. It has {', '.join(table.column_names)}."
        )
    labels = clean_labels(table["label"]).to_pylist()
    names = table["id"].cast(pa.string()).to_pylist()
    who = table["person"].cast(pa.string()).to_pylist() if "person" in table.column_names else []
    rows = [
        (name, label, (who[i] or "") if who else "")
        for i, (name, label) in enumerate(zip(names, labels, strict=True))
        if name is not None and label is not None
    ]
    for _, label, _ in rows:
        if label not in classes:
            raise UnknownNameError("label", label, classes)
    return rows


def _told(ask: Any) -> dict[str, Any]:
    told = asdict(ask)
    del told["shown"]
    return told


def _queue(run: Run | str | Path, store: str | Path | None, queue: str | None) -> Queue:
    """The queue of a run's data; UnknownNameError where nothing was asked yet."""
    from leaven.evaluate.run import Run
    from leaven.label.queue import Queue
    from leaven.store.store import Store

    found = run if isinstance(run, Run) else Run.load(run)
    address = _address(found, store)
    if "://" not in str(address) and not Path(address).is_file():
        raise DataError(
            f"Nothing was asked yet: there is no store '{address}'. Begin with leaven query RUN."
        )
    return Queue(Store(address), queue or found.story["dataset"]["name"])


def _address(run: Run, store: str | Path | None) -> str | Path:
    return run.folder.resolve().parent / STORE if store is None else store
