"""The verbs for what people say: query, queue, review, labels in and out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import DataError, SettingError
from leaven.core.progress import Listener, Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from leaven.evaluate.run import Run

__all__ = [
    "ask_again",
    "export",
    "import_labels",
    "is_exposed",
    "query",
    "review",
    "rules",
    "status",
]


@dataclass(frozen=True)
class Asked:
    """What `query` put into a queue; `before` are the records that it held already.

    `caution` says what speaks against the strategy, `rehearsal` whether it would have paid on the
    labels that there are.
    """

    queue: str
    store: str
    strategy: str
    added: int
    before: int
    unreadable: int
    precision: dict[str, Any] | None
    caution: str
    rehearsal: dict[str, Any] | None
    asks: tuple[dict[str, Any], ...]


def query(
    run: Run | str | Path,
    data: Any = None,
    *,
    count: int = 50,
    strategy: str = "auto",
    explore: float | None = None,
    wanted: int = 1,
    assigned: str | None = None,
    suspects: bool = False,
    gold: bool = False,
    classes: Sequence[str] = (),
    label: str | None = None,
    modality: str | None = None,
    store: str | Path | None = None,
    queue: str | None = None,
    seed: int = 0,
    progress: Listener | None = None,
) -> Asked:
    """Put the records that are worth most to this run's model into the queue of its data.

    Parameters
    ----------
    run : a run; or data without one, of which the first records to label are asked.
    data : the records, read as the run read them; by default those that it was fitted on.
    strategy : one of `leaven.label.asking.strategy.STRATEGIES`, or `auto`.
    explore : the share of them drawn at random; a tenth with a run, none without.
    wanted : how many different people are to answer each.
    assigned : the one person who is to answer them; None for all.
    suspects : ask about labelled records instead, those whose label is most probably wrong.
    gold : ask about labelled records unmarked, by which people are judged.
    classes, label, modality : of data without a run: the names that may be answered, the column
        of labels if there is one, and what the records are.
    store, queue : see `leaven.label.place.place_of`.

    Raises LeavenError for data, names or a store that cannot be used.
    """
    from leaven.data.given import given
    from leaven.label.asking.querying import cold
    from leaven.label.asking.querying import query as ask
    from leaven.label.asking.rechecking import doubt
    from leaven.label.asking.rechecking import gold as judging
    from leaven.label.place import place_of
    from leaven.label.results import open_priorities, standing, waiting

    tell = progress or (lambda _: None)
    place = place_of(run, store, queue)
    opened = place.run
    tell(Progress("reading the records"))
    if opened is None:
        if data is not None:
            raise SettingError("data", "given once: as the first argument there is no run", data)
        if not classes:
            raise SettingError(
                "classes", f"the names that may be answered, for '{run}' is no run", None
            )
        reading = {"label": label or False, "modality": modality, "labels": None}
        dataset = given(run, **reading)
        found = place.made(classes, dataset.modality)
    else:
        dataset = opened.records(data)
        found = place.made(opened.classes, dataset.modality)
    tell(Progress("looking for the records worth most"))
    known = sorted({one.record for one in standing(found)} | set(waiting(found)))
    how: dict[str, Any] = {"wanted": wanted, "waiting": known, "seed": seed}
    if opened is None:
        share = explore or 0.0
        asked = cold(dataset, found.classes, count, strategy=strategy, explore=share, **how)
    elif suspects:
        asked = doubt(opened, dataset, count, **how)
    elif gold:
        how["waiting"] = waiting(found)  # what one person answered may judge another
        asked = judging(opened, dataset, count, waits=open_priorities(found), **how)
    else:
        share = 0.1 if explore is None else explore
        asked = ask(opened, dataset, count, strategy=strategy, explore=share, **how)
    asks = [replace(one, assigned=assigned) for one in asked.asks]
    return Asked(
        queue=found.name,
        store=repr(place.store),
        strategy=asked.strategy,
        added=found.add(asks),
        before=len(known),
        unreadable=asked.unreadable,
        precision=asdict(asked.precision) if asked.precision else None,
        caution=asked.caution,
        rehearsal=asdict(asked.rehearsal) if asked.rehearsal else None,
        asks=tuple(_told(one) for one in asks),
    )


def status(
    run: Run | str | Path, *, store: str | Path | None = None, queue: str | None = None
) -> dict[str, Any]:
    """How the queue goes on: counts, people, agreement, and records on which people differ."""
    from leaven.label.place import place_of
    from leaven.label.results import disputed, people, summary

    found = place_of(run, store, queue).open()
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
    by: str = "?",
) -> pa.Table:
    """The labels that people gave, one row a record; see `label.results.labels`.

    Written to `out` as CSV, Parquet or JSON Lines by its ending, which the audit log notes as done
    by `by`. `leaven fit DATA --answers FILE` reads them.
    """
    from leaven.evaluate.tables import write_table
    from leaven.label.place import place_of
    from leaven.label.results import labels
    from leaven.store.audit import AuditLog

    if out is not None:
        write_table(None, Path(out))
    found = place_of(run, store, queue).open()
    table = labels(found)
    if out is not None:
        told = {"file": Path(out).name, "records": table.num_rows}
        AuditLog(found.store).add(by, "labels.exported", found.name, told)
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
    file taken twice counts once, unless its labels were revoked in between. Returns `answers`,
    `again` for those that were there, and `unknown` for those of no record that can be read.
    """
    from leaven.label.place import place_of
    from leaven.label.queue import Ask
    from leaven.label.results import standing, tasks_of
    from leaven.label.trust.revoking import imported_from, revocations
    from leaven.store.audit import AuditLog

    place = place_of(run, store, queue)
    found = place.open()
    rows = [(name, label, who or person) for name, label, who in _rows(file, found.classes)]
    by_record = tasks_of(found, [name for name, _, _ in rows])
    new = list(dict.fromkeys(name for name, _, _ in rows if name not in by_record))
    shown = place.shown(new)
    blank = Ask(record="", content="", kind="import")
    found.add([replace(blank, record=name, **shown.get(name, {})) for name in new])
    by_record |= tasks_of(found, new)
    before = {(one.record, one.person, one.label) for one in standing(found)}
    told = {"file": Path(file).name, "answers": len(rows)}
    AuditLog(found.store).add(person, "labels.imported", found.name, told)
    again, note, times = 0, imported_from(Path(file).name), revocations(found)
    for name, label, who in rows:
        again += (name, who, label) in before
        own = [found.name, name, who, label, *(["again"] * times[who])]
        key = hashlib.sha256("\x1f".join(own).encode()).hexdigest()
        found.answer(by_record[name], who, label, key=key, note=note)
    return {"answers": len(rows), "again": again, "unknown": len(set(new) - shown.keys())}


def review(
    run: Run | str | Path,
    *,
    person: str,
    port: int = 0,
    team: bool = False,
    host: str = "127.0.0.1",
    names: Sequence[str] = (),
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    proxy: str | None = None,
    store: str | Path | None = None,
    queue: str | None = None,
    opened: Callable[[str], None],
) -> None:
    """Serve the page on which records are answered until Ctrl-C.

    The page shows the run's curve of labels. `opened` is called with the link that lets `person`
    in, once; with `team` everybody signs in who is a user of the store. `host`, `names`, the TLS
    files and `proxy` are those of `leaven.serve.review.serve`.

    Raises SettingError for a port that cannot be had, DataError where nobody may sign in.
    """
    from leaven.label.place import place_of
    from leaven.serve.review import serve

    place = place_of(run, store, queue)
    story = place.run.story if place.run is not None else {}
    points = (story.get("growth") or {}).get("labels") or []
    curve = [(one["size"], one["value"], one["low"], one["high"]) for one in points]
    serve(
        place.open(), person=person, port=port, team=team, host=host, names=names,
        tls_cert=tls_cert, tls_key=tls_key, proxy=proxy, opened=opened, curve=curve,
    )  # fmt: skip


def is_exposed(host: str, tls_cert: str | Path | None, proxy: str | None = None) -> bool:
    """Whether others on the network could read what goes between page and server."""
    from leaven.serve.review import is_exposed as exposed

    return exposed(host, tls_cert, proxy)


def ask_again(
    run: Run | str | Path, *, person: str, store: str | Path | None = None, queue: str | None = None
) -> int:
    """Ask one more person about each record on which people differ; returns how many."""
    from leaven.label.place import place_of
    from leaven.label.results import disputed

    found = place_of(run, store, queue).open()
    return found.ask_again(disputed(found), person=person, note="people differ")


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
    from leaven.data.formulas import restored
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
        (restored(name), restored(label), restored(who[i] or "") if who else "")
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
