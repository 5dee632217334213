"""Records of each modality as the arrays that its encoders read, see `data/modalities/`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.data.portable.cells import days, named, number, text, truth
from leaven.data.portable.nodes import NODE, features, neighbours
from leaven.data.portable.series import at_places, parsed
from leaven.data.portable.words import codes_of

__all__ = ["ALIASES", "BUCKETS", "Arrays", "Rejected", "decode", "encoded_file", "record_of"]

#: Arrays by name, each of one row a record.
Arrays = dict[str, npt.NDArray[Any]]

#: What a lone column may be called besides, by its kind.
ALIASES = {
    "text": "text", "image": "image", "audio": "audio", "series": "series", "vector": "features",
}  # fmt: skip
#: Numbers that a text in a table's cell becomes.
BUCKETS = 64

_EMPTY = "empty record: no feature has a value"
_FLOOR = np.float16(np.log(1e-6))  # of a mel band, as `data/sounds.py` has it


class Rejected(Exception):
    """A record cannot be read; its text is a reason and a detail."""


def record_of(given: object, columns: Mapping[str, str]) -> Mapping[str, Any]:
    """Cells by column of a record as it may be given; Rejected for what is none.

    A model of one column takes a bare value, and the modality's own name for the column.

    Parameters
    ----------
    columns : their kinds by their names.
    """
    only = next(iter(columns)) if len(columns) == 1 else None
    if only is not None:
        if not isinstance(given, Mapping):
            return {only: given}
        alias = ALIASES.get(columns[only], only)
        if only not in given and alias in given:
            return {only if name == alias else name: cell for name, cell in given.items()}
    if not isinstance(given, Mapping):
        raise Rejected(f"no record: it must be an object of cells by column, not {given!r:.60}")
    return given


def decode(
    modality: str, spec: Mapping[str, Any], columns: Mapping[str, str], records: Sequence[object]
) -> tuple[Arrays, list[int], dict[int, str]]:
    """Arrays of the records that can be read, their places, and why others cannot, by their place.

    The arrays are empty, {}, where no record can be read.
    """
    row = _ROWS[modality]
    rows: list[Any] = []
    kept: list[int] = []
    why: dict[int, str] = {}
    for place, given in enumerate(records):
        if modality == "graph" and isinstance(given, str):
            given = {NODE: given}
        try:
            rows.append(row(record_of(given, columns), spec, columns))
            kept.append(place)
        except Rejected as odd:
            why[place] = str(odd)
    return (_STACKED[modality](rows, spec) if rows else {}), kept, why


def encoded_file(value: Any) -> bytes | None:
    """The bytes of a file that are given as such or in base64; Rejected for anything else."""
    if isinstance(value, str):
        head, comma, tail = value.partition(",")
        try:
            value = base64.b64decode(
                tail if comma and head.startswith("data:") else value, None, True
            )
        except (ValueError, binascii.Error):
            raise Rejected("no file: it must be bytes, or text in base64") from None
    if value is not None and not isinstance(value, bytes):
        raise Rejected("no file: it must be bytes, or text in base64")
    return value or None


def _cell(record: Mapping[str, Any], column: str) -> Any:
    """A text, a number, true, false or None; Rejected for anything else."""
    value = record.get(column)
    if isinstance(value, np.generic):
        value = value.item()
    if value is not None and not isinstance(value, str | int | float):
        raise Rejected(f"no cell: {column!r} needs a text, a number, true, false or null")
    return value


def _text(record: Mapping[str, Any], spec: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    column = spec["column"]
    read = named if columns[column] == "categorical" else text
    found = read(_cell(record, column))
    if found is None:
        raise Rejected(_EMPTY)
    codes = codes_of(found)
    if not codes:
        raise Rejected(f"empty text: no words in {found[:60]!r}")
    if "subwords" in spec:
        return spec["subwords"](found)
    length = spec["length"]
    if len(codes) > length:  # of a longer one the first three quarters and the last
        codes = codes[: length - length // 4] + codes[len(codes) - length // 4 :]
    return codes


def _texts(rows: list[Any], spec: Mapping[str, Any]) -> Arrays:
    """As long as the longest of them: graphs read tokens (n, any)."""
    tokens = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for place, codes in enumerate(rows):
        tokens[place, : len(codes)] = codes
    return {"tokens": tokens}


def _table_row(
    record: Mapping[str, Any], spec: Mapping[str, Any], columns: Mapping[str, str]
) -> Any:
    there = False
    numeric = np.full(len(spec["numeric"]) + BUCKETS * len(spec["text"]), np.nan, np.float32)
    for place, name in enumerate(spec["numeric"]):
        value = _counted(_cell(record, name), columns[name])
        if value is not None:
            there = True
            numeric[place] = value - spec["datetime"].get(name, 0.0)
    first = len(spec["numeric"])
    for name in spec["text"]:
        found = text(_cell(record, name))
        there |= found is not None
        numeric[first : first + BUCKETS] = _buckets(found)
        first += BUCKETS
    codes = np.zeros(len(spec["categorical"]), np.int32)
    for place, (name, levels) in enumerate(spec["categorical"].items()):
        level = named(_cell(record, name))
        if level is not None:
            there = True
            codes[place] = levels.get(level, 0)
    if not there:
        raise Rejected(_EMPTY)
    return numeric, codes


def _counted(value: Any, kind: str) -> float | None:
    if kind == "datetime":
        return days(value)
    return truth(value) if kind == "boolean" else number(value)


def _buckets(found: str | None) -> npt.NDArray[np.float64]:
    """(64,) a text's hashed bag of words with signs, of length 1, or zeros without a word."""
    codes = np.array(codes_of(found) if found is not None else [], np.int64)
    bag = np.bincount(codes % BUCKETS, np.where(codes >> 6 & 1, 1.0, -1.0), BUCKETS)
    length: npt.NDArray[np.float64] = bag / max(np.sqrt(np.square(bag).sum()), 1e-12)
    return length


def _tables(rows: list[Any], spec: Mapping[str, Any]) -> Arrays:
    return {
        "numeric": np.stack([numeric for numeric, _ in rows]),
        "codes": np.stack([codes for _, codes in rows]),
    }


def _vector(record: Mapping[str, Any], spec: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    value, width = record.get(spec["column"]), spec["width"]
    if value is None:
        raise Rejected(_EMPTY)
    try:
        with np.errstate(over="ignore"):  # beyond float32 is as good as infinite
            found = np.asarray(value, np.float64).astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        raise Rejected(f"not numbers: expected a list of {width} numbers") from None
    if found.shape != (width,):
        raise Rejected(f"wrong width: expected {width} numbers, got {found.size}")
    if not np.isfinite(found).all():
        raise Rejected("not finite: a number is missing, infinite or not a number")
    return found


def _vectors(rows: list[Any], spec: Mapping[str, Any]) -> Arrays:
    return {"features": np.stack(rows)}


def _series(record: Mapping[str, Any], spec: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    value = record.get(spec["column"])
    try:
        found = parsed(value) if isinstance(value, list) else value
    except (ValueError, OverflowError) as error:
        raise Rejected(f"not numbers: {error}") from None
    if found is None or np.isnan(found).all():
        raise Rejected("no value: the series is missing or has no value")
    length, channels = spec["length"], spec["channels"]
    if len(found) != channels:
        raise Rejected(f"wrong channels: expected {channels} channels, got {len(found)}")
    values = np.zeros((length, channels), np.float32)
    there = np.zeros((length, channels), np.uint8)
    steps = min(length, found.shape[1])
    for channel, row in enumerate(found):
        values[:steps, channel], there[:steps, channel] = at_places(row, steps)
    return values, there


def _many_series(rows: list[Any], spec: Mapping[str, Any]) -> Arrays:
    return {
        "values": np.stack([values for values, _ in rows]),
        "there": np.stack([there for _, there in rows]),
    }


def _picture(record: Mapping[str, Any], spec: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    from leaven.data.pictures import Unreadable, fit, read

    given, framing = _file(record, columns, "image"), spec.get("framing")
    shape = spec["channels"], spec["height"], spec["width"]
    try:
        if framing is not None:  # as an encoder from elsewhere wants it
            return framing(read(given, None, hint=framing.hint))
        return fit(read(given, None, hint=max(shape[1:])), *shape)
    except Unreadable as error:
        raise Rejected(str(error)) from None


def _pictures(rows: list[Any], spec: Mapping[str, Any]) -> Arrays:
    return {"pixels": np.stack(rows)}


def _sound(record: Mapping[str, Any], spec: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    from leaven.data.files import Unreadable
    from leaven.data.sounds import log_mel, read

    given, rate, hearing = _file(record, columns, "audio"), spec["rate"], spec.get("hearing")
    try:
        samples = read(given, None, rate, spec["seconds"])
        if hearing is not None:  # as an encoder from elsewhere wants it
            from leaven.data.portable.hearing import heard

            return heard(read(given, None, hearing["rate"], hearing["seconds"]), hearing)
        return log_mel(samples, rate, spec["mels"])
    except Unreadable as error:
        raise Rejected(str(error)) from None


def _sounds(rows: list[Any], spec: Mapping[str, Any]) -> Arrays:
    """Half precision between, as the arrays that a fit reads have it."""
    if "hearing" in spec:
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    frames = spec["frames"]
    mel = np.full((len(rows), frames, spec["mels"]), _FLOOR, np.float16)
    length = np.array([min(len(found), frames) for found in rows], np.int64)
    for place, found in enumerate(rows):
        mel[place, : length[place]] = found[:frames]
    return {"mel": mel.astype(np.float32), "length": length}


def _node(record: Mapping[str, Any], spec: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    """The place of an own node, or a new one."""
    if NODE in record:
        name = record[NODE]
        known = isinstance(name, str | int) and not isinstance(name, bool)
        place = spec["places"].get(str(name)) if known else None
        if place is None:
            told = f"unknown node: {name!r:.60} is not in the graph"
            told += "; ask a new one by its cells and neighbours" if spec["new"] else ""
            raise Rejected(told)
        return place
    if not spec["new"]:
        raise Rejected("no node: this model answers for the nodes of its graph alone, by their ids")
    for column in columns:
        if columns[column] != "vector":
            _cell(record, column)
    try:
        own = features(record, spec)
        others = neighbours(record, spec["places"])
    except ValueError as odd:
        raise Rejected(str(odd)) from None
    if own is None and not len(others[0]):
        raise Rejected(_EMPTY)
    return np.zeros(spec["width"], np.float32) if own is None else own, *others


def _nodes(rows: list[Any], spec: Mapping[str, Any]) -> Arrays:
    """Places of own nodes, -1 for new ones, and of these in their order what they have.

    The neighbours of the i-th new one begin at `starts[i]` and end where the next one's begin.
    """
    new = [row for row in rows if not isinstance(row, int)]
    empty = (np.zeros(0, np.int64), np.zeros(0, np.float32))
    counts = [len(others) for _, others, _ in new]
    return {
        "node": np.array([row if isinstance(row, int) else -1 for row in rows], np.int64),
        "features": np.stack([own for own, _, _ in new] or [np.zeros(spec["width"], np.float32)]),
        "neighbours": np.concatenate([empty[0], *(others for _, others, _ in new)]),
        "strength": np.concatenate([empty[1], *(weights for _, _, weights in new)]),
        "starts": np.cumsum([0, *counts]),
    }


def _file(record: Mapping[str, Any], columns: Mapping[str, str], kind: str) -> bytes:
    """The bytes of the column of files."""
    column = next((name for name, own in columns.items() if own == kind), kind)
    found = encoded_file(record.get(column))
    if found is None:
        raise Rejected(_EMPTY)
    return found


_Row = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, str]], Any]
_ROWS: dict[str, _Row] = {
    "text": _text, "tabular": _table_row, "embedding": _vector, "series": _series,
    "image": _picture, "audio": _sound, "graph": _node,
}  # fmt: skip
_STACKED: dict[str, Callable[[list[Any], Mapping[str, Any]], Arrays]] = {
    "text": _texts, "tabular": _tables, "embedding": _vectors, "series": _many_series,
    "image": _pictures, "audio": _sounds, "graph": _nodes,
}  # fmt: skip
