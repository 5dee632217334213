"""The records of a request, as the model reads them: checked one by one, read together.

A record is an object of cells by the names of the columns that the run was made with; others are
ignored and missing ones count as missing, as everywhere. A model of one column also takes the
modality's name for it, `{"text": …}`, `{"image": …}`. Pictures and sounds are bytes, in base64
where they come in JSON; a string never names a file or an address. Cells are converted each on
its own, so that no answer hangs on what else was asked at the same moment.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from leaven.core.errors import nearest
from leaven.data.content import contents
from leaven.data.conversion import convert, target_type
from leaven.data.dataset import Column, Dataset
from leaven.data.portable.cells import float_of, said
from leaven.data.portable.content import content_of
from leaven.data.portable.decoding import ALIASES
from leaven.data.series import packed, parsed
from leaven.serve.models.limits import Limits, Refused

__all__ = ["Reader", "Record"]

#: Cells by the names of their columns, checked.
Record = dict[str, Any]

_FILES = ("image", "audio")
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO")


class Reader:
    """Reads records for one model.

    Parameters
    ----------
    width : numbers of a vector, for a model of these.
    """

    def __init__(
        self, columns: Sequence[Column], modality: str, limits: Limits, width: int = 0
    ) -> None:
        self.columns, self.modality, self.limits = tuple(columns), modality, limits
        self._width = width
        self._names = frozenset(column.name for column in columns)
        self._kinds = sorted((column.name, column.kind) for column in columns)
        self._images = [column.name for column in columns if column.kind == "image"]
        #: The one column, where there is one.
        self.only = self.columns[0] if len(self.columns) == 1 else None
        self._alias = ALIASES.get(self.only.kind, "") if self.only else ""

    def checked(self, given: object, place: int = 0) -> Record:
        """One record; Refused (422) for what none can be made of.

        Parameters
        ----------
        place : in its request, from 0, for the sentence.
        """
        if self.only is not None and not isinstance(given, Mapping):
            given = {self.only.name: given}
        if not isinstance(given, Mapping):
            raise _odd(place, f"must be an object of cells by column. Got {_kind(given)}")
        found = {}
        for column in self.columns:
            name = column.name
            if self._alias and name not in given:
                name = self._alias
            if (value := given.get(name)) is not None:
                found[column.name] = self._cell(value, column, place)
        if not found and not self._names & given.keys() and self._alias not in given:
            raise self._none(given, place)
        return found

    def all_checked(self, given: Sequence[object]) -> list[Record]:
        """The records of one request; Refused (413) where their pictures together are too large.

        A picture of one colour has many pixels in few bytes, and decoding takes time by pixel.
        """
        records = [self.checked(one, i) for i, one in enumerate(given)]
        if self._images:
            self._check_all_pixels(records)
        return records

    def _check_all_pixels(self, records: Sequence[Record]) -> None:
        names = self._images
        sizes = [_size(record[name]) for record in records for name in names if name in record]
        if sum(width * height for width, height in sizes) > self.limits.all_pixels:
            most = f"{self.limits.all_pixels:,}".replace(",", " ")
            raise Refused(413, f"The pictures of a request have {most} pixels at most together.")

    def content(self, record: Record) -> str:
        """The digest of a record's content, as `dataset` has it."""
        return content_of(record, self._kinds)

    def table(self, records: Sequence[Record]) -> tuple[pa.Table, dict[int, str]]:
        """The records that can be read, and why others cannot, by their place."""
        columns: dict[str, pa.Array] = {}
        why: dict[int, str] = {}
        for column in self.columns:
            cells = [record.get(column.name) for record in records]
            columns[column.name], odd = _column(cells, column.kind, self._width)
            why |= odd
        table = pa.table(columns)
        there = np.zeros(len(records), bool)
        for values in columns.values():
            there |= values.is_valid().to_numpy(zero_copy_only=False)
            if there.all():
                break
        for place in np.flatnonzero(~there).tolist():
            why.setdefault(place, "empty record: no feature has a value")
        if why:
            kept = [i for i in range(len(records)) if i not in why]
            table = table.take(pa.array(kept, pa.int64()))
        return table, why

    def dataset(self, records: Sequence[Record]) -> tuple[Dataset, dict[int, str]]:
        """The records, each named by its place, and why others are none, by their place."""
        table, why = self.table(records)
        kept = np.array([i for i in range(len(records)) if i not in why], np.int64)
        content, _ = contents(table, self.columns, None)
        labels = pa.nulls(len(kept), pa.string())
        made = Dataset(
            table, kept.astype(np.str_), labels, self.modality, self.columns, content,
            name="requests",
        )  # fmt: skip
        return made, why

    def _none(self, given: Mapping[Any, Any], place: int) -> Refused:
        """What to raise for a record without any of the columns."""
        names = ", ".join(sorted(self._names)[:10])
        names += " …" if len(self._names) > 10 else ""
        meant = next((near for key in list(given)[:20] if (near := self._near(key))), None)
        guess = f". Did you mean {meant!r}?" if meant else ""
        return _odd(place, f"has none of the model's columns: {names}{guess}")

    def _near(self, key: object) -> str | None:
        return nearest(key, self._names) if isinstance(key, str) and len(key) < 100 else None

    def _cell(self, value: Any, column: Column, place: int) -> Any:
        """The value of a cell, as `_column` takes it; Refused for one that defies its kind."""
        if column.kind in _FILES:
            return self._file(value, column, place)
        if column.kind in ("vector", "series"):
            return self._numbers(value, column, place)
        if isinstance(value, str):
            if len(value) > self.limits.text:
                many = f"{self.limits.text:,}".replace(",", " ")
                raise _odd(place, f"is too long: {column.name!r} has {many} characters at most")
            return value
        if isinstance(value, bool | int | float):
            return value
        wanted = "a text" if column.kind == "text" else "a text, a number, true, false or null"
        raise _odd(place, f"needs {wanted} in {column.name!r}. Got {_kind(value)}")

    def _file(self, value: Any, column: Column, place: int) -> bytes:
        what = "a picture" if column.kind == "image" else "a sound"
        if isinstance(value, str):
            head, comma, tail = value.partition(",")
            try:
                told = tail if comma and head.startswith("data:") else value
                value = base64.b64decode(told, validate=True)
            except (ValueError, binascii.Error):
                raise _odd(place, f"needs {what} in base64 in {column.name!r}") from None
        if not isinstance(value, bytes) or not value:
            raise _odd(place, f"needs {what} in {column.name!r}. Got {_kind(value)}")
        if column.kind == "image":
            self._check_pixels(value, place)
        return value

    def _check_pixels(self, picture: bytes, place: int) -> None:
        try:
            width, height = _size(picture)
        except (OSError, ValueError, SyntaxError, UnidentifiedImageError) as error:
            raise _odd(place, "is no picture of a known format, or is damaged") from error
        except Image.DecompressionBombError as error:
            raise _odd(place, "is too large a picture") from error
        if width * height > self.limits.pixels:
            most = f"{self.limits.pixels:,}".replace(",", " ")
            raise _odd(place, f"is too large: {width} by {height} pixels, {most} at most")

    def _numbers(self, value: Any, column: Column, place: int) -> Any:
        """A vector as it is, a series as (channels, steps)."""
        series = column.kind == "series"
        many = "" if series else f"{self._width} "
        wanted = f"needs a list of {many}numbers in {column.name!r}"
        wanted += ", or of such lists, one a channel" if series else ""
        if not isinstance(value, list) or not value:
            raise _odd(place, wanted)
        nested = series and all(isinstance(row, list) for row in value)
        rows = value if nested else [value]
        if len(rows) * max(map(len, rows)) > self.limits.numbers:
            raise _odd(place, f"has too many numbers: {self.limits.numbers} at most")
        for one in (one for row in rows for one in row):
            missing = series and one is None
            if not missing and (isinstance(one, bool) or not isinstance(one, int | float)):
                raise _odd(place, wanted)
        if not series and len(value) != self._width:
            raise _odd(place, f"{wanted}. Got {len(value)}")
        try:
            return parsed(value) if series else [float(one) for one in value]
        except (OverflowError, ValueError):
            raise _odd(place, f"has a number in {column.name!r} that is too large") from None


def _column(cells: list[Any], kind: str, width: int) -> tuple[pa.Array, dict[int, str]]:
    """Cells as the Arrow array of their kind, as a table of them would be read."""
    if kind == "series":
        return packed(cells), {}
    if kind == "vector":
        return pa.array(cells, pa.list_(pa.float32(), width)), {}
    if kind in _FILES:
        raw = pa.array(cells, pa.binary())
    elif kind == "numeric" and not any(isinstance(one, str) for one in cells):
        raw = pa.array([float_of(one) for one in cells], pa.float64())
    else:
        told: Callable[[Any], str | None] = _digits if kind == "numeric" else said
        raw = pa.array([told(one) for one in cells], pa.string())
    done = convert(raw, kind, target_type(pa.chunked_array([raw]), kind))
    return done.values, {i: f"{reason}: {detail}" for i, (reason, detail) in done.why.items()}


def _digits(value: Any) -> str | None:
    """A number by digits that give it back."""
    if value is None or isinstance(value, str):
        return value
    found = float_of(value)
    return None if found is None else repr(found)


def _size(picture: bytes) -> tuple[int, int]:
    """Width and height by the header; whatever PIL raises for what is no picture."""
    with Image.open(io.BytesIO(picture), formats=_FORMATS) as image:
        return image.size


def _kind(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
    names |= {bytes: "an empty file", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _odd(place: int, what: str) -> Refused:
    return Refused(422, f"Record {place + 1} {what}{'' if what.endswith('?') else '.'}")
