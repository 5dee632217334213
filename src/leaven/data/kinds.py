"""What the values of a column are, and with that what a record is.

Kinds are inferred from all values, chunk by chunk, and never from their order, so that the same
data gets the same kinds from any format. Text from a CSV and typed columns from Parquet meet
here: afterwards both are the same Arrow types.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import SettingError
from leaven.data.dataset import Column, Finding

__all__ = [
    "ARROW_TYPES",
    "IMAGE_SUFFIXES",
    "MISSING",
    "Converted",
    "as_strings",
    "convert",
    "detect",
    "infer",
    "target_type",
]

#: What stands for a missing value in a column that is not text, after trimming.
MISSING = ("", "?", "-", "NA", "N/A", "n/a", "nan", "NaN", "NAN", "null", "NULL", "<NA>")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")

ARROW_TYPES = {
    "numeric": pa.float64(),
    "categorical": pa.string(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us"),
}

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_BOOLEAN = r"^(?i:true|false)$"
_DATE = r"^\d{4}-\d{2}-\d{2}"
_DATETIME = _DATE + r"([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
_VECTOR = r"^\[\s*[-+.\deE]+(\s*,\s*[-+.\deE]+)*\s*\]$"
_IMAGE = r"(?i)^[^\n]+\.(png|jpg|jpeg|bmp|gif|webp|tif|tiff)$"
# A word, or half a word for each sign of a script that does not part words.
_WORD = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]{1,2}|[^\s\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]+"
)
_TEXT_NAMES = {
    "text", "sentence", "message", "utterance", "query", "question", "title", "body", "content",
    "description", "comment", "review", "tweet", "document", "subject", "log", "prompt",
}  # fmt: skip
_IMAGE_SIGNS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
_WHOLE = ("boolean", "datetime", "vector")
#: More distinct values than this are not counted on: they are many.
_MANY = 50_000
#: The share of cells that must be numbers, so that the others count as slips.
_MOSTLY = 0.9


def as_strings(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Any scalar column as strings; float32 by its own shortest digits, invalid bytes mended."""
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_null(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    return column.cast(pa.string())


def _trimmed(strings: pa.Array) -> pa.Array:
    """Trimmed, and null where it stands for a missing value."""
    trimmed = pc.utf8_trim_whitespace(strings)
    missing = pc.is_in(trimmed, value_set=pa.array(MISSING))
    return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)


@dataclass
class _Survey:
    """Counts over the values of one column of strings."""

    valid: int = 0
    matching: dict[str, int] = field(default_factory=dict)
    words: int = 0
    seen: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    def add(self, strings: pa.Array) -> None:
        values = pc.drop_null(_trimmed(strings))
        self.valid += len(values)
        for kind, pattern in (
            ("numeric", _NUMBER),
            ("boolean", _BOOLEAN),
            ("datetime", _DATETIME),
            ("vector", _VECTOR),
            ("image", _IMAGE),
        ):
            # Kinds that all values must have need not be tried again once one has failed.
            before = self.matching.get(kind, 0)
            if kind in _WHOLE and before < self.valid - len(values):
                continue
            hits = pc.sum(pc.match_substring_regex(values, pattern)).as_py() or 0
            self.matching[kind] = before + hits
        self.words += pc.sum(pc.count_substring_regex(values, _WORD)).as_py() or 0
        if len(self.seen) < _MANY:
            heads = pc.utf8_slice_codeunits(values, 0, 64)
            self.seen = pc.unique(pa.concat_arrays([self.seen, heads]))

    def kind(self, name: str, paths: bool) -> str:
        if not self.valid:
            return "categorical"
        share = {kind: hits / self.valid for kind, hits in self.matching.items()}
        if share["numeric"] > _MOSTLY:
            return "numeric"
        for kind in _WHOLE:
            if share[kind] == 1:
                return kind
        if paths and share["image"] > _MOSTLY:
            return "image"
        words = self.words / self.valid
        varied = len(self.seen) >= _MANY or len(self.seen) >= 0.5 * self.valid
        named = name.lower() in _TEXT_NAMES and words >= 1.2
        wordy = words >= 8 and len(self.seen) > 20
        return "text" if (varied and words >= 2.5) or (varied and named) or wordy else "categorical"


def infer(table: pa.Table, names: Iterable[str], *, paths: bool) -> tuple[list[Column], list[str]]:
    """The kinds of the columns `names`, and those that no kind fits (nested, or unknown bytes).

    `paths` says whether names of image files can be followed, that is, whether a folder is known.
    """
    columns: list[Column] = []
    unfit: list[str] = []
    for name in names:
        kind = _kind(table[name], name, paths)
        if kind:
            columns.append(Column(name, kind))
        else:
            unfit.append(name)
    return columns, unfit


def _kind(column: pa.ChunkedArray, name: str, paths: bool) -> str | None:
    found = column.type
    if pa.types.is_boolean(found):
        return "boolean"
    if pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found):
        return "numeric"
    if pa.types.is_timestamp(found) or pa.types.is_date(found):
        return "datetime"
    if _is_binary(found):
        return "image" if _holds_images(column) else None
    if pa.types.is_struct(found):
        fields = {found.field(i).name: found.field(i).type for i in range(found.num_fields)}
        return "image" if _is_binary(fields.get("bytes", pa.null())) else None
    if (
        pa.types.is_list(found)
        or pa.types.is_large_list(found)
        or pa.types.is_fixed_size_list(found)
    ):
        inner = found.value_type
        numbers = pa.types.is_integer(inner) or pa.types.is_floating(inner)
        lengths = pc.unique(pc.list_value_length(column.drop_null()))
        return "vector" if numbers and len(lengths) == 1 and lengths[0].as_py() > 0 else None
    try:
        survey = _Survey()
        for chunk in column.chunks:
            survey.add(as_strings(chunk))
    except pa.ArrowException:
        return None
    kind = survey.kind(name, paths)
    try:  # what looked like a date may be none (the 31st of April), a vector of another length
        if kind in ("datetime", "vector"):
            target = target_type(column, kind)
            for chunk in column.chunks:
                _convert(chunk, kind).values.cast(target)
    except (pa.ArrowException, ValueError):
        return "categorical"
    return kind


def _is_binary(found: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(found)
        or pa.types.is_large_binary(found)
        or pa.types.is_fixed_size_binary(found)
    )


def _holds_images(column: pa.ChunkedArray) -> bool:
    """Whether most values begin as an image file does."""
    heads = [
        pc.binary_slice(chunk.cast(pa.large_binary()), 0, 4).to_pylist() for chunk in column.chunks
    ]
    values = [head for part in heads for head in part if head]
    return bool(values) and sum(v.startswith(_IMAGE_SIGNS) for v in values) > 0.5 * len(values)


@dataclass
class Converted:
    """A column in its kind's Arrow type, and the cells that had to be given up."""

    values: pa.Array
    slips: int = 0
    examples: tuple[str, ...] = ()


def target_type(column: pa.ChunkedArray, kind: str) -> pa.DataType:
    """The Arrow type that a column becomes: offsets of 64 bits only where it is that large."""
    large = column.nbytes > 1 << 30
    if kind == "vector":
        return pa.list_(pa.float32(), _width(column) or 1)
    if kind == "image" and (_is_binary(column.type) or pa.types.is_struct(column.type)):
        return pa.large_binary() if large else pa.binary()
    return pa.large_string() if large and kind == "text" else ARROW_TYPES.get(kind, pa.string())


def _width(column: pa.ChunkedArray) -> int:
    """The length of the first vector."""
    first = next((value for chunk in column.chunks for value in chunk if value.is_valid), None)
    if first is None:
        return 0
    value = first.as_py()
    return len(json.loads(value) if isinstance(value, str) else value)


def convert(column: pa.Array, kind: str, target: pa.DataType) -> Converted:
    """One chunk of a column as the Arrow type `target`; what cannot be read becomes null.

    A chunk that defies its kind as a whole becomes null throughout, each value a slip: new data
    need not look like the data whose kinds are in force.
    """
    try:
        done = _convert(column, kind)
        done.values = done.values.cast(target)
        return done
    except (pa.ArrowException, ValueError):
        shown = tuple(str(value)[:40] for value in column.drop_null()[:3].to_pylist())
        return Converted(pa.nulls(len(column), target), len(column) - column.null_count, shown)


def _convert(column: pa.Array, kind: str) -> Converted:
    if kind == "image":
        return Converted(_images(column))
    if kind == "vector":
        return Converted(_vectors(column))
    if kind == "datetime":
        return Converted(_datetimes(column))
    if kind == "numeric":
        return _numbers(column)
    strings = as_strings(column)
    if kind == "text":
        blank = pc.equal(pc.utf8_trim_whitespace(strings), "")
        return Converted(pc.if_else(blank, pa.scalar(None, pa.string()), strings))
    trimmed = _trimmed(strings)
    if kind == "categorical":
        return Converted(trimmed)
    return _read(trimmed, _BOOLEAN, lambda good: pc.equal(pc.utf8_lower(good), "true"))


def _numbers(column: pa.Array) -> Converted:
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_float32(kind) or pa.types.is_float16(kind):
        # float32 through its digits: 0.1 must be the 0.1 that a CSV of it holds.
        column = column.cast(pa.uint8()) if pa.types.is_boolean(kind) else as_strings(column)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        done = Converted(column.cast(pa.float64(), safe=False))
    elif pa.types.is_decimal(column.type):
        done = Converted(column.cast(pa.float64()))
    else:
        done = _read(_trimmed(as_strings(column)), _NUMBER, lambda good: good.cast(pa.float64()))
    finite = pc.is_finite(done.values)
    endless = pc.sum(pc.is_inf(done.values)).as_py() or 0
    done.values = pc.if_else(finite, done.values, pa.scalar(None, pa.float64()))
    done.slips += endless
    done.examples += ("inf",) if endless else ()
    return done


def _read(trimmed: pa.Array, pattern: str, cast: Any) -> Converted:
    """Cast the values that match; count the others."""
    fits = pc.match_substring_regex(trimmed, pattern)
    wrong = pc.drop_null(pc.filter(trimmed, pc.invert(fits)))
    unsigned = pc.replace_substring_regex(trimmed, r"^\+", "")
    good = pc.if_else(fits, unsigned, pa.scalar(None, pa.string()))
    return Converted(cast(good), len(wrong), tuple(v[:40] for v in wrong[:3].to_pylist()))


def _datetimes(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zone = getattr(kind, "tz", None)
        column = column.cast(pa.timestamp("us", "UTC" if zone else None), safe=False)
        return column.cast(pa.timestamp("us"))
    values = _trimmed(as_strings(column))
    values = pc.replace_substring_regex(values, r"^(\S{10})$", r"\1T00:00")
    values = pc.replace_substring_regex(values, r"(\.\d{6})\d+", r"\1")
    values = pc.replace_substring_regex(values, r"(:\d{2}(?:\.\d+)?)$", r"\1Z")
    zoned = values.cast(pa.timestamp("us", "UTC"))
    return zoned.cast(pa.timestamp("us"))


def _images(column: pa.Array) -> pa.Array:
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    if _is_binary(column.type):
        empty = pc.equal(pc.binary_length(column), 0)
        column = column.cast(pa.large_binary())
        return pc.if_else(empty, pa.scalar(None, pa.large_binary()), column)
    return _trimmed(as_strings(column))


def _vectors(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = _trimmed(as_strings(column)).to_pylist()
        column = pa.array([text and json.loads(text) for text in texts], pa.list_(pa.float64()))
    return column


def detect(
    columns: list[Column], table: pa.Table, modality: str | None
) -> tuple[str, list[Column], list[Finding]]:
    """The modality, the columns that it uses, and what was left aside.

    An image column makes images; one text column alone makes text; one vector column alone makes
    embeddings; anything else is tabular. Raises SettingError if `modality` does not fit.
    """
    by_kind: dict[str, list[Column]] = {}
    for column in columns:
        by_kind.setdefault(column.kind, []).append(column)
    if modality is None:
        modality = _guess(columns, by_kind, table)
    found = ", ".join(f"{c.name} ({c.kind})" for c in columns[:20]) or "no feature columns"
    wanted = {"image": ["image"], "embedding": ["vector"], "text": ["text", "categorical"]}
    if modality in wanted:
        fitting = next((by_kind[kind] for kind in wanted[modality] if kind in by_kind), [])
        if not fitting:
            raise SettingError(
                "modality", f"one that fits the columns: {found}", modality,
                "Leave it out to have it chosen.",
            )  # fmt: skip
        kept = [max(fitting, key=lambda c: _weight(table[c.name]))]
        if modality == "text":
            kept = [Column(kept[0].name, "text")]
    else:
        kept = [c for c in columns if c.kind not in ("image", "vector")] or columns
        if modality == "tabular" and kept == columns and {"image", "vector"} & set(by_kind):
            raise SettingError("modality", f"one that fits the columns: {found}", modality)
    used = {c.name for c in kept}
    ignored = [c.name for c in columns if c.name not in used]
    if not ignored:
        return modality, kept, []
    return modality, kept, [
        Finding(
            "ignored-columns",
            "info",
            f"Records are taken as {modality}; columns not used: {len(ignored)}.",
            len(ignored),
            tuple(ignored[:20]),
            "Pass another modality if they should count.",
        )
    ]  # fmt: skip


def _guess(columns: list[Column], by_kind: dict[str, list[Column]], table: pa.Table) -> str:
    if "image" in by_kind:
        return "image"
    telling = [c for c in columns if len(columns) == 1 or not _constant(table[c.name])]
    if [c.kind for c in telling] == ["text"]:
        return "text"
    if [c.kind for c in telling] == ["vector"]:
        return "embedding"
    return "tabular"


def _constant(column: pa.ChunkedArray) -> bool:
    if pa.types.is_nested(column.type):
        return False
    values = column.drop_null()
    return len(values) == 0 or bool(pc.all(pc.equal(values, values[0])).as_py())


def _weight(column: pa.ChunkedArray) -> float:
    """Mean length of the values, to tell a body from a title; pictures outweigh paths to them."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return float(pc.mean(pc.utf8_length(column)).as_py() or 0.0)
    return float("inf")
