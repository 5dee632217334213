"""Tables whose rows are series, or steps of series, as one column of series.

A wide table has a row a series and a column a step. A long one has a row a step and a column a
channel; the rows of one series have its id.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import DataError, SettingError
from leaven.data import conversion
from leaven.data.dataset import Finding
from leaven.data.labels import label_column
from leaven.data.raw import ROW, SOURCE, Raw, Refused
from leaven.data.roles import Roles
from leaven.data.series import SERIES, is_list, packed, read_series, tidied

__all__ = ["NAME", "as_series"]

#: What the column is called where nothing else names it.
NAME = "series"

Values = npt.NDArray[np.float64]

#: The share of a column's cells that must be numbers, so that it counts as a step or a channel.
_MOSTLY = 0.9


def as_series(raw: Raw, roles: Roles) -> tuple[Raw, Roles]:
    """The records with their numbers in one column of series, and what the other columns are.

    A column of lists is such a column. Else ids that repeat make a long table, ordered by the time
    column where one is named; all other tables are wide. A series that cannot be read is refused.
    Raises DataError where no column holds numbers.
    """
    name = roles.columns[0].name if roles.columns else NAME
    others = _others(raw, roles)
    if name in raw.table.column_names and (roles.columns or _holds_lists(raw.table[name])):
        return _lists(raw, name), roles
    for other in others:
        if _holds_lists(raw.table[other]):
            return _lists(raw, other), roles
    numbers = {other: _numbers(raw.table[other]) for other in others}
    kept = {other: found for other, found in numbers.items() if found is not None}
    if not kept:
        raise DataError(
            f"No column holds numbers. The columns are: {', '.join(others[:20]) or 'none'}. "
            "Give a series as a list in one column, its steps as columns, or a row a step and --id."
        )
    if len(kept) < len(others):
        raw.findings.append(_left([other for other in others if other not in kept]))
    table = raw.table
    if roles.id is not None and _repeats(table[roles.id]):
        return _long(raw, roles, kept, name)
    wide = np.stack([values for values, _ in kept.values()], 1)
    wrong = np.stack([slips for _, slips in kept.values()], 1)
    why = {int(row): _slipped(table, list(kept), int(row), wrong[row]) for row in _any(wrong)}
    records = [None if row in why else tidied(values) for row, values in enumerate(wide)]
    return _with(raw, table.drop_columns(list(kept)), name, records, why), roles


def _others(raw: Raw, roles: Roles) -> list[str]:
    """The columns that are nothing else: not label, id, group, time or audit."""
    names = [
        name
        for name in raw.table.column_names
        if name not in (SOURCE, ROW) and not name.startswith("__index_level_")
    ]
    label = raw.fixed_labels or label_column([n for n in names if n != roles.audit], roles.label)
    taken = {label, roles.id, roles.group, roles.time, roles.audit}
    return [name for name in names if name not in taken]


def _holds_lists(column: pa.ChunkedArray) -> bool:
    """Whether the type is a list's, or the first value is JSON text of one."""
    if is_list(column.type):
        return True
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    for chunk in column.chunks:
        found = chunk.drop_null()
        if len(found):
            return str(found[0].as_py()).lstrip().startswith("[")
    return False


def _lists(raw: Raw, name: str) -> Raw:
    """A column of lists as series; the rows of those that are none go."""
    if raw.table[name].type == SERIES:
        return raw
    parts, at = [], 0
    why: dict[int, tuple[str, str]] = {}
    for chunk in raw.table[name].chunks:
        found, told = read_series(chunk)
        parts.append(found)
        why |= {at + place: said for place, said in told.items()}
        at += len(chunk)
    place = raw.table.column_names.index(name)
    table = raw.table.set_column(place, name, pa.chunked_array(parts, SERIES))
    return _without(raw, table, why)


def _numbers(column: pa.ChunkedArray) -> tuple[Values, npt.NDArray[np.bool_]] | None:
    """(n,) values, NaN where missing, and (n,) where there is something that is no number."""
    kind = conversion.ARROW_TYPES["numeric"]
    try:
        parts = [conversion.convert(chunk, "numeric", kind).values for chunk in column.chunks]
        texts = [conversion.without_missing(part) for part in conversion.as_strings(column).chunks]
    except pa.ArrowException:  # nested, or bytes
        return None
    values = pa.chunked_array(parts, kind).to_numpy().astype(np.float64)
    there = pa.chunked_array(texts, pa.string()).is_valid().to_numpy()
    wrong = there & np.isnan(values)
    if pa.types.is_boolean(column.type) or wrong.sum() > (1 - _MOSTLY) * max(there.sum(), 1):
        return None
    return values, wrong


def _long(
    raw: Raw, roles: Roles, numbers: dict[str, tuple[Values, npt.NDArray[np.bool_]]], name: str
) -> tuple[Raw, Roles]:
    """One row a series: the first of its rows, with its steps in the order of time."""
    assert roles.id is not None
    table = raw.table
    ids = conversion.without_missing(conversion.as_strings(table[roles.id]).combine_chunks())
    known = pc.drop_null(ids)
    codes = pc.index_in(ids, value_set=pc.unique(known))
    owner = codes.fill_null(-1).to_numpy()
    first = np.unique(owner[owner >= 0], return_index=True)[1]
    first = np.flatnonzero(owner >= 0)[first]
    order = np.lexsort((np.arange(len(owner)), _moments(table, roles.time), owner))
    order = order[owner[order] >= 0]
    cuts = np.flatnonzero(np.diff(owner[order])) + 1
    values = np.stack([found for found, _ in numbers.values()])
    wrong = np.stack([slips for _, slips in numbers.values()], 1)
    why: dict[int, tuple[str, str]] = {}
    records: list[Values | None] = []
    label = raw.fixed_labels or (roles.label if isinstance(roles.label, str) else None)
    if label is None and roles.label is not False:
        label = label_column(table.column_names, roles.label)
    said = None if label is None else conversion.as_strings(table[label]).combine_chunks()
    for place, rows in enumerate(np.split(order, cuts)):
        record = tidied(values[:, rows])
        labels = [] if said is None else pc.unique(said.take(pa.array(rows))).to_pylist()
        if wrong[rows].any():
            row = int(rows[np.flatnonzero(wrong[rows].any(1))[0]])
            why[place] = _slipped(table, list(numbers), row, wrong[row])
        elif len(labels) > 1:
            told = ", ".join(map(repr, labels[:3]))
            why[place] = ("several labels", f"its {len(rows)} steps have the labels {told}")
        elif not record.size:
            why[place] = ("no value", "all steps of the series are missing")
        records.append(None if place in why else record)
    for lost in np.flatnonzero(owner < 0):
        source = table[SOURCE][int(lost)].as_py(), table[ROW][int(lost)].as_py()
        raw.refused.append((*source, "missing id", "a step that belongs to no series"))
    gone = [*numbers, *([roles.time] if roles.time is not None else [])]
    rest = table.drop_columns(gone).take(pa.array(first))
    return _with(raw, rest, name, records, why), replace(roles, time=None)


def _moments(table: pa.Table, time: str | None) -> Values:
    """(n,) by which the steps are ordered: numbers, or moments; the order of rows without either.

    Raises SettingError for a column that holds neither.
    """
    if time is None:
        return np.zeros(table.num_rows)
    for kind in ("numeric", "datetime"):
        target = conversion.ARROW_TYPES[kind]
        done = [conversion.convert(chunk, kind, target) for chunk in table[time].chunks]
        found = pa.chunked_array([part.values for part in done], target)
        if found.null_count == table[time].null_count and not any(part.slips for part in done):
            if kind == "datetime":
                found = found.cast(pa.int64())
            return np.asarray(found.to_numpy(), dtype=np.float64)
    raise SettingError("time", "a column of ISO dates or numbers", time)


def _with(
    raw: Raw,
    table: pa.Table,
    name: str,
    records: list[Values | None],
    why: dict[int, tuple[str, str]],
) -> Raw:
    """The table with the records as one more column."""
    empty = ("no value", "all steps of the series are missing")
    why |= {p: empty for p, r in enumerate(records) if p not in why and (r is None or not r.size)}
    whole = packed([None if place in why else r for place, r in enumerate(records)])
    return _without(raw, table.append_column(name, whole), why)


def _without(raw: Raw, table: pa.Table, why: dict[int, tuple[str, str]]) -> Raw:
    """The table less the rows that are no series, which are refused."""
    refused: list[Refused] = []
    if why:
        places = sorted(why)
        origin = table.select([SOURCE, ROW]).take(pa.array(places)).to_pylist()
        refused = [
            (o[SOURCE], o[ROW], *why[place]) for o, place in zip(origin, places, strict=True)
        ]
        table = table.filter(pa.array(~np.isin(np.arange(table.num_rows), places)))
    return replace(raw, table=table, refused=[*raw.refused, *refused])


def _repeats(column: pa.ChunkedArray) -> bool:
    found = column.drop_null()
    return bool(pc.count_distinct(found).as_py() < len(found))


def _any(wrong: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.flatnonzero(wrong.any(1))


def _slipped(
    table: pa.Table, names: list[str], row: int, wrong: npt.NDArray[np.bool_]
) -> tuple[str, str]:
    """What stands where a number should."""
    column = names[int(np.flatnonzero(wrong)[0])]
    return "not numbers", f"column {column!r} holds {table[column][row].as_py()!r:.60}"


def _left(names: list[str]) -> Finding:
    return Finding(
        "ignored-columns",
        "info",
        f"Records are taken as series; columns that are no numbers are not used: {len(names)}.",
        len(names),
        tuple(names[:20]),
    )
