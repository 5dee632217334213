"""The one way in: whatever a reader or a caller has becomes a `Dataset` here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.data import conversion, kinds
from leaven.data.content import contents, make_ids
from leaven.data.dataset import Column, Dataset, Finding
from leaven.data.labels import (
    audit_findings,
    clean_labels,
    label_column,
    twins,
    words_for_none,
)
from leaven.data.raw import ROW, SOURCE, Raw, Refused, Spool, quarantine
from leaven.data.roles import Roles
from leaven.data.series_rows import as_series

__all__ = ["NOTHING", "Cells", "Roles", "absent", "assemble", "converted", "own_id", "slipped"]

_BATCH = 20_000
_ID_ENDINGS = ("id", "uuid", "guid", "key")
#: Why a record without a value is none: reason and detail.
NOTHING = ("empty record", "no feature has a value")


@dataclass(frozen=True)
class Cells:
    """Feature columns in their own types.

    `records` are those with a value, `kept` their positions; `slips` counts by column the cells
    that were given up, with some of them; `why` says of positions not kept, reason and detail.
    """

    records: pa.Table
    kept: npt.NDArray[np.int64]
    slips: dict[str, tuple[int, tuple[str, ...]]]
    why: dict[int, tuple[str, str]]


@dataclass
class _Plan:
    """Which column is what."""

    label: str | None
    id: str | None
    features: list[str]
    findings: list[Finding] = field(default_factory=list)


def assemble(
    raw: Raw, roles: Roles, *, name: str, source: str, cache: Path | None = None
) -> Dataset:
    """Find labels, ids, kinds and modality, and convert the columns.

    Raises DataError if no record is left, UnknownNameError for columns that are not there, and
    SettingError for a modality or time column that does not fit.
    """
    if roles.modality == "series" and raw.table.num_rows:
        raw, roles = as_series(raw, roles)
    table = raw.table
    if not table.num_rows:
        raise DataError(f"{source} holds no usable records.{_first(raw.refused)}")
    labels, plan = _plan(raw, roles)
    if roles.columns is not None:
        modality, columns = roles.modality or _modality_of(roles.columns), list(roles.columns)
        plan.findings += absent(columns, table)
    else:
        found, unfit = kinds.infer(table, plan.features, paths=raw.root is not None)
        if unfit:
            plan.findings.append(
                _dropped("unusable-columns", "hold values of no usable kind", unfit)
            )
        modality, columns, ignored = kinds.detect(found, table, roles.modality)
        plan.findings += ignored
    if not columns:
        raise DataError(
            f"{source} holds no feature columns beside labels and ids. "
            f"Its columns are: {', '.join(_names(table))}."
        )
    cells = converted(table, columns, cache)
    records, kept, why = cells.records, cells.kept, cells.why
    refused = list(raw.refused)
    if len(kept) < table.num_rows:
        empty = np.setdiff1d(np.arange(table.num_rows), kept)
        origin = table.select([SOURCE, ROW]).take(pa.array(empty)).to_pylist()
        told = [why.get(int(place), NOTHING) for place in empty]
        refused += [(o[SOURCE], o[ROW], *said) for o, said in zip(origin, told, strict=True)]
        labels = labels.take(pa.array(kept))
    if not len(kept):
        raise DataError(
            f"{source} holds no usable records: all {table.num_rows} are empty."
            + (_first(refused) if why else "")
        )
    meta = _meta(table, roles, kept)
    if roles.audit is not None:
        plan.findings += audit_findings(meta["audit"], labels)
    content, unreadable = contents(records, columns, raw.root, confined=not raw.listed)
    ids = _named(make_ids(content, labels), records, unreadable)
    if plan.id is not None:
        ids, found_ids = _given_ids(table[plan.id], kept, ids)
        plan.findings += found_ids
    dataset = Dataset(
        records=records,
        ids=ids,
        labels=labels,
        modality=modality,
        columns=tuple(columns),
        content=content,
        name=name,
        source=source,
        meta=meta,
        root=raw.root if modality in ("image", "audio") else None,
        quarantine=quarantine(refused),
        findings=(*raw.findings, *plan.findings, *slipped(cells.slips)),
    )
    if not unreadable:
        return dataset
    dataset = dataset.reject(
        np.array([place for place, _, _ in unreadable], dtype=np.int64),
        [(reason, detail) for _, reason, detail in unreadable],
    )
    if not len(dataset):
        raise DataError(
            f"{source} holds no usable records: {unreadable[0][1]} {unreadable[0][2]!r}."
        )
    return dataset


def _first(refused: Sequence[Refused]) -> str:
    """A sentence on the first of the refused records; none where there are none."""
    if not refused:
        return ""
    source, row, reason, detail = refused[0]
    where = f"{source} row {row}" if row else source
    return f" The first of {len(refused)} refused, {where}: {reason} ({detail[:100]})."


def _names(table: pa.Table) -> list[str]:
    """The columns of the data itself; pandas writes its index into tables as one more."""
    return [
        name
        for name in table.column_names
        if name not in (SOURCE, ROW) and not name.startswith("__index_level_")
    ]


def _modality_of(columns: Sequence[Column]) -> str:
    """The modality of records whose columns are known already."""
    found = [column.kind for column in columns]
    single = {"vector": "embedding"} | {kind: kind for kind in ("image", "audio", "text", "series")}
    return single.get(found[0], "tabular") if len(found) == 1 else "tabular"


def _plan(raw: Raw, roles: Roles) -> tuple[pa.StringArray, _Plan]:
    """The labels, and which columns are label, id and features."""
    table, names = raw.table, _names(raw.table)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"several columns are named {repeated[0]!r}. Give each its own name.")
    for role in ("id", "group", "time", "audit"):
        named = getattr(roles, role)
        if named is not None and named not in names:
            raise UnknownNameError(role, named, names)
    others = [name for name in names if name != roles.audit]
    given = (raw.fixed_labels, roles.label, roles.id, roles.group, roles.time)
    if roles.audit is not None and roles.audit in given:
        raise SettingError(
            "audit", "a column that is nothing else: neither label, id, group nor time", roles.audit
        )
    label = raw.fixed_labels or label_column(others, roles.label)
    labels = pa.nulls(table.num_rows, pa.string())
    if label is not None and roles.label is not False:
        labels = clean_labels(table[label])
    plan = _Plan(label, roles.id or _unique_id(table, others), [])
    taken = {label, plan.id, roles.group, roles.time, roles.audit}
    if roles.columns is not None:
        plan.features = [column.name for column in roles.columns]
        return labels, plan
    plan.features = [name for name in names if name not in taken]
    if label is not None and (words := words_for_none(table[label])):
        plan.findings.append(_nameless(words))
    if label is not None and (again := twins(table, plan.features, label, labels)):
        what = f"say the same as the label {label!r} in other words"
        plan.findings.append(_dropped("label-columns", what, again))
        plan.features = [name for name in plan.features if name not in again]
    idle = [name for name in plan.features if _is_id(name) and _unique(table[name])]
    if idle and len(idle) < len(plan.features):
        plan.findings.append(_dropped("id-columns", "only number the records", idle))
        plan.features = [name for name in plan.features if name not in idle]
    return labels, plan


def _nameless(words: dict[str, int]) -> Finding:
    count, said = sum(words.values()), ", ".join(map(repr, words))
    return Finding(
        "words-for-none",
        "info",
        f"{count} labels read {said}; these records count as unlabelled.",
        count,
        tuple(words),
        "Write the class otherwise if it is one.",
    )


def absent(columns: Sequence[Column], table: pa.Table) -> list[Finding]:
    """What is said where columns that a model reads are not among those of new data."""
    present = set(table.column_names)
    missing = [c.name for c in columns if c.name not in present]
    if not missing:
        return []
    listed = ", ".join(map(repr, missing[:5])) + (" …" if len(missing) > 5 else "")
    return [
        Finding(
            "missing-columns",
            "warning",
            f"{len(missing)} of the {len(columns)} columns of the records are not there and count "
            f"as missing: {listed}.",
            len(missing),
            tuple(missing[:20]),
            "Give new records the columns that the model was made with.",
        )
    ]


def _named(
    ids: npt.NDArray[np.str_], records: pa.Table, unreadable: Sequence[tuple[int, str, str]]
) -> npt.NDArray[np.str_]:
    """Ids in which files without bytes to digest go by their names."""
    wide = ids.astype(object)
    for place, _, _ in unreadable:
        wide[place] = records.column(0)[place].as_py()
    return wide.astype(np.str_)


def _dropped(name: str, why: str, columns: list[str]) -> Finding:
    return Finding(
        name,
        "info",
        f"Not used as features, for they {why}: {', '.join(columns[:5])}"
        + (f" and {len(columns) - 5} more." if len(columns) > 5 else "."),
        len(columns),
        tuple(columns[:20]),
    )


def own_id(names: Sequence[str]) -> str | None:
    """The one column that is called id; None where there are several, or none."""
    called = [name for name in names if name.lower() == "id"]
    return called[0] if len(called) == 1 else None


def _unique_id(table: pa.Table, names: list[str]) -> str | None:
    """The column called id, if it can serve as one."""
    called = own_id(names)
    return called if called is not None and _unique(table[called]) else None


def _is_id(name: str) -> bool:
    return name.lower().startswith("unnamed") or name.lower().endswith(_ID_ENDINGS)


def _unique(column: pa.ChunkedArray) -> bool:
    """Whether the values are words or whole numbers, all there and all different."""
    if len(column) < 2 or column.null_count:
        return False
    if not (pa.types.is_integer(column.type) or _stringy(column.type)):
        return False
    return bool(pc.count_distinct(column).as_py() == len(column))


def _stringy(found: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(found)
        or pa.types.is_large_string(found)
        or pa.types.is_string_view(found)
    )


def converted(
    table: pa.Table, columns: Sequence[Column], cache: Path | None, width: int = 0
) -> Cells:
    """The feature columns in their own types; records without any value are left out.

    `width` is the length of vectors, found from the first one where it is 0.
    """
    n = table.num_rows
    present = set(table.column_names)  # a look through the list for each of 3000 takes seconds
    there = {c.name: table[c.name] for c in columns if c.name in present}
    nothing = pa.chunked_array([], pa.null())
    targets = {
        c.name: pa.list_(pa.float32(), width)
        if width and c.kind == "vector"
        else conversion.target_type(there.get(c.name, nothing), c.kind)
        for c in columns
    }
    slips: dict[str, tuple[int, tuple[str, ...]]] = {}
    kept: list[npt.NDArray[np.int64]] = []
    why: dict[int, tuple[str, str]] = {}
    with Spool(cache) as spool:
        for start in range(0, n, _BATCH):
            size = min(_BATCH, n - start)
            cells = []
            some = np.zeros(size, dtype=bool)
            for column in columns:
                if column.name in there:
                    part = there[column.name].slice(start, size)
                    chunk = part.combine_chunks()
                    done = conversion.convert(chunk, column.kind, targets[column.name])
                else:
                    done = conversion.Converted(pa.nulls(size, targets[column.name]))
                if done.slips:
                    count, shown = slips.get(column.name, (0, ()))
                    slips[column.name] = (count + done.slips, (shown + done.examples)[:5])
                why |= {start + place: said for place, said in done.why.items()}
                cells.append(done.values)
                some |= done.values.is_valid().to_numpy(zero_copy_only=False)
            batch = pa.record_batch(cells, [c.name for c in columns])
            spool.write(batch if some.all() else batch.filter(pa.array(some)))
            kept.append(start + np.flatnonzero(some))
        records = spool.finish()
    return Cells(records, np.concatenate(kept), slips, why)


def slipped(slips: Mapping[str, tuple[int, tuple[str, ...]]]) -> list[Finding]:
    """What is said of cells that were given up."""
    return [_slipped(name, count, shown) for name, (count, shown) in slips.items()]


def _slipped(name: str, count: int, shown: tuple[str, ...]) -> Finding:
    said, verb = ("1 cell", "counts") if count == 1 else (f"{count} cells", "count")
    return Finding(
        "unreadable-cells",
        "warning",
        f"{said} of column {name!r} cannot be read as its kind and {verb} as missing.",
        count,
        shown,
        "Mend them in the source if they carry something.",
    )


def _meta(table: pa.Table, roles: Roles, kept: npt.NDArray[np.int64]) -> pa.Table:
    """Source, row, and where named group, time and audit, of the records kept."""
    taken = {"source": table[SOURCE], "row": table[ROW]}
    if roles.group is not None:
        taken["group"] = conversion.as_strings(table[roles.group])
    if roles.time is not None:
        found, _ = kinds.infer(table, [roles.time], paths=False)
        kind = found[0].kind if found else "none"
        if kind not in ("numeric", "datetime"):
            raise SettingError("time", "a column of ISO dates or numbers", f"{roles.time} ({kind})")
        target = conversion.ARROW_TYPES[kind]
        chunks = [conversion.convert(c, kind, target).values for c in table[roles.time].chunks]
        taken["time"] = pa.chunked_array(chunks, target)
    if roles.audit is not None:
        taken["audit"] = clean_labels(table[roles.audit])
    meta = pa.table(taken)
    return meta if len(kept) == table.num_rows else meta.take(pa.array(kept))


def _given_ids(
    column: pa.ChunkedArray, kept: npt.NDArray[np.int64], own: npt.NDArray[np.str_]
) -> tuple[npt.NDArray[np.str_], list[Finding]]:
    """The data's own ids; a missing one is taken from the content, a repeated one is numbered."""
    values = conversion.as_strings(column).take(pa.array(kept))
    blank = pc.fill_null(pc.equal(values, ""), True).to_numpy()
    ids = np.array(values.fill_null("").to_pylist(), dtype=np.str_)
    ids = np.where(blank, own, ids)
    _, first, counts = np.unique(ids, return_index=True, return_counts=True)
    repeated = ids[first[counts > 1]]
    if len(repeated) or blank.any():
        taken = set(ids.tolist())
        wide = ids.astype(object)
        again = np.setdiff1d(np.flatnonzero(np.isin(ids, repeated)), first)
        for place in again:
            suffix = 2
            while f"{ids[place]}-{suffix}" in taken:
                suffix += 1
            wide[place] = f"{ids[place]}-{suffix}"
            taken.add(wide[place])
        finding = Finding(
            "ids",
            "warning",
            f"{int(blank.sum())} ids are missing and {len(again)} are repeated; "
            "these records got ids of their own.",
            int(blank.sum()) + len(again),
            tuple(str(name) for name in repeated[:5]),
            "Give each record one id if predictions are to be joined by it.",
        )
        return wide.astype(np.str_), [finding]
    return ids, []
