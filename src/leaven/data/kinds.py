"""What the values of a column are, and with that what a record is.

Kinds are inferred from all values, chunk by chunk, and never from their order, so that the same
data gets the same kinds from any format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import SettingError
from leaven.data.conversion import (
    BOOLEAN,
    DATETIME,
    NUMBER,
    VECTOR,
    as_strings,
    convert,
    is_binary,
    target_type,
    without_missing,
)
from leaven.data.dataset import Column, Finding
from leaven.data.series import NESTED, is_list, is_series

__all__ = ["AUDIO_SUFFIXES", "IMAGE_SUFFIXES", "detect", "infer"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga")

_IMAGE = r"(?i)^[^\n]+\.(png|jpg|jpeg|bmp|gif|webp|tif|tiff)$"
_AUDIO = r"(?i)^[^\n]+\.(wav|flac|ogg|oga)$"
# A word, or half a word for each sign of a script that does not part words.
_WORD = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]{1,2}|[^\s\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]+"
)
_TEXT_NAMES = {
    "text", "sentence", "message", "utterance", "query", "question", "title", "body", "content",
    "description", "comment", "review", "tweet", "document", "subject", "log", "prompt",
}  # fmt: skip
_IMAGE_SIGNS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"II*\0", b"MM\0*")
_AUDIO_SIGNS = (b"fLaC", b"OggS")
#: What RIFF files hold is said by their bytes 8 to 11.
_RIFF = {b"WEBP": "image", b"WAVE": "audio"}
_WHOLE = ("boolean", "vector")
#: Kinds of values that are no cells of a table's row.
_NO_CELLS = {"image", "audio", "vector", "series"}
#: More distinct values than this are not counted on: they are many.
_MANY = 50_000
#: The share of cells that must be numbers, or dates, so that the others count as slips.
_MOSTLY = 0.9


@dataclass
class _Survey:
    """Counts over the values of one column of strings."""

    valid: int = 0
    matching: dict[str, int] = field(default_factory=dict)
    words: int = 0
    seen: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    def add(self, strings: pa.Array) -> None:
        values = pc.drop_null(without_missing(strings))
        self.valid += len(values)
        for kind, pattern in (
            ("numeric", NUMBER),
            ("boolean", BOOLEAN),
            ("datetime", DATETIME),
            ("vector", VECTOR),
            ("series", NESTED),
            ("image", _IMAGE),
            ("audio", _AUDIO),
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
        if share["series"] > _MOSTLY:
            return "series"
        if share["datetime"] > _MOSTLY:
            return "datetime"
        for kind in ("image", "audio"):
            if paths and share[kind] > _MOSTLY:
                return kind
        words = self.words / self.valid
        varied = len(self.seen) >= _MANY or len(self.seen) >= 0.5 * self.valid
        named = name.lower() in _TEXT_NAMES and words >= 1.2
        wordy = words >= 8 and len(self.seen) > 20
        return "text" if (varied and words >= 2.5) or (varied and named) or wordy else "categorical"


def infer(table: pa.Table, names: Iterable[str], *, paths: bool) -> tuple[list[Column], list[str]]:
    """The kinds of the columns `names`, and those that no kind fits (nested, or unknown bytes).

    `paths` says whether names of image or sound files can be followed: whether a folder is known.
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
    if is_binary(found):
        return _media(column)
    if pa.types.is_struct(found):
        fields = {found.field(i).name: found.field(i).type for i in range(found.num_fields)}
        held = is_binary(fields.get("bytes", pa.null()))
        return _media(column, "bytes") or "image" if held else None
    if is_list(found):
        if is_series(column):
            return "series"
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
    if kind in ("datetime", "vector"):
        # What looked like a date may be none (the 31st of April), a vector of another length.
        target = target_type(column, kind)
        slips = sum(convert(chunk, kind, target).slips for chunk in column.chunks)
        if slips > (0 if kind == "vector" else (1 - _MOSTLY) * survey.valid):
            return "series" if kind == "vector" and is_series(column) else "categorical"
    if kind == "series" and not is_series(column):
        return "categorical"
    return kind


def _media(column: pa.ChunkedArray, field: str = "") -> str | None:
    """What most values are by their first bytes, `image` or `audio`; of structs their `field`."""
    found = []
    for chunk in column.chunks:
        held = pc.struct_field(chunk, field) if field else chunk
        heads = pc.binary_slice(held.cast(pa.large_binary()), 0, 12).to_pylist()
        found += [_signed(head) for head in heads if head]
    return next((kind for kind in ("image", "audio") if found.count(kind) > 0.5 * len(found)), None)


def _signed(head: bytes) -> str | None:
    """What a file is by its first bytes."""
    if head.startswith(_AUDIO_SIGNS):
        return "audio"
    if head.startswith((b"RIFF", b"RF64")):
        return _RIFF.get(head[8:12])
    return "image" if head.startswith(_IMAGE_SIGNS) else None


def detect(
    columns: list[Column], table: pa.Table, modality: str | None
) -> tuple[str, list[Column], list[Finding]]:
    """The modality, the columns that it uses, and what was left aside.

    An image column makes images, one of sounds audio; one text column alone makes text; one
    vector column alone makes embeddings, one column of series alone makes series; anything else
    is tabular. Raises SettingError if `modality` does not fit.
    """
    by_kind: dict[str, list[Column]] = {}
    for column in columns:
        by_kind.setdefault(column.kind, []).append(column)
    if modality is None:
        modality = _guess(columns, by_kind, table)
    found = ", ".join(f"{c.name} ({c.kind})" for c in columns[:20]) or "no feature columns"
    wanted = {
        "image": ["image"],
        "audio": ["audio"],
        "embedding": ["vector"],
        "series": ["series"],
        "text": ["text", "categorical"],
    }
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
    elif modality == "graph":
        kept = [c for c in columns if c.kind in ("numeric", "boolean", "categorical", "vector")]
        if not kept:
            raise SettingError(
                "modality", f"one that fits the columns: {found}", modality,
                "Nodes have numbers, categories, or a column of vectors: embed texts first.",
            )  # fmt: skip
    else:
        kept = [c for c in columns if c.kind not in _NO_CELLS] or columns
        if modality == "tabular" and kept == columns and _NO_CELLS & set(by_kind):
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
    for kind in ("image", "audio", "series"):
        if kind in by_kind:
            return kind
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
    """Mean length of the values, to tell a body from a title; bytes outweigh paths to files."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return float(pc.mean(pc.utf8_length(column)).as_py() or 0.0)
    return float("inf")
