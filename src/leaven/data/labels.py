"""Labels as they are written in files, and which column holds them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.data.conversion import as_strings
from leaven.data.dataset import Finding

__all__ = [
    "LABEL_NAMES",
    "audit_findings",
    "clean_labels",
    "label_column",
    "twins",
    "words_for_none",
]

LABEL_NAMES = ("label", "labels", "target", "class", "y", "category", "intent")
_UNLABELLED = {"", "nan", "NaN", "None", "null", "<NA>"}


def label_column(names: list[str], label: str | bool | None) -> str | None:
    """The column that holds the labels; None where there is none and none is needed.

    `label` names it; None looks for a usual name; False says that there is none, and still finds
    one with a usual name, so that it is not taken for a feature.
    Raises UnknownNameError for a name that is not there, DataError where none can be chosen.
    """
    if isinstance(label, str):
        if label not in names:
            raise UnknownNameError("label", label, names)
        return label
    if label is True:
        raise SettingError("label", "the name of a column, None or False", label)
    usual = [name for name in names if name.lower() in LABEL_NAMES]
    if len(usual) == 1:
        return usual[0]
    if label is False:
        return None
    listed = ", ".join(names[:40]) + (" …" if len(names) > 40 else "")
    what = f"Several could be ({', '.join(usual)})" if usual else "None has a usual name"
    raise DataError(
        f"Which column holds the labels is not clear. {what}. The columns are: {listed}. "
        "Name it with --label, or label=… in Python."
    )


def clean_labels(column: pa.ChunkedArray | pa.Array) -> pa.StringArray:
    """Labels as trimmed strings, null where there is none.

    Where all labels are whole numbers they are written as such ("3.0" is "3") and -1 means
    unlabelled; truth values are written in lower case.

    >>> clean_labels(pa.array([1.0, None, -1.0])).to_pylist()
    ['1', None, None]
    >>> clean_labels(pa.array([" spam", "", "-1"])).to_pylist()
    ['spam', None, '-1']
    """
    if pa.types.is_nested(column.type):
        raise DataError(
            "The label column holds lists or objects. Give one label a record, as text or number."
        )
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    try:
        encoded = pc.dictionary_encode(as_strings(column))
    except pa.ArrowException as error:
        raise DataError(f"The labels cannot be read as text: {error}.") from error
    values = [None if v is None else v.strip() for v in encoded.dictionary.to_pylist()]
    values = [None if v is None or v in _UNLABELLED else v for v in values]
    present = {v for v in values if v is not None}
    whole = {v: whole for v in present if (whole := _whole(v)) is not None}
    if len(whole) == len(present):
        values = [None if v is None or whole[v] == "-1" else whole[v] for v in values]
    elif {v.lower() for v in present} <= {"true", "false"}:
        values = [v and v.lower() for v in values]
    return pa.array(values, pa.string()).take(encoded.indices)


def words_for_none(column: pa.ChunkedArray | pa.Array) -> dict[str, int]:
    """How often words such as None stand where a label would, which count as unlabelled.

    >>> words_for_none(pa.array(["None", "spam", "", None, "null", "None"]))
    {'None': 2, 'null': 1}
    """
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return {}
    trimmed = pc.utf8_trim_whitespace(column)
    words = pa.array(sorted(_UNLABELLED - {""}), column.type)
    counted = pc.value_counts(trimmed.filter(pc.is_in(trimmed, value_set=words)))
    return {entry["values"]: entry["counts"] for entry in counted.to_pylist()}


def _whole(text: str) -> str | None:
    """The number's usual form if it is whole, else None."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not value.is_integer() or "_" in text:
        return None
    return str(int(value))


def audit_findings(audit: pa.ChunkedArray, labels: pa.StringArray) -> list[Finding]:
    """What is odd about the true labels of unlabelled records: there are none, or unknown ones."""
    known = audit.filter(pc.and_(labels.is_null(), audit.is_valid()))
    if not len(known):
        message = "The audit column holds no label of an unlabelled record: nothing is audited."
        return [Finding("audit-empty", "warning", message, advice="Name another column.")]
    unknown = known.filter(pc.invert(pc.is_in(known, value_set=labels.drop_null().unique())))
    if not len(unknown):
        return []
    return [
        Finding(
            "audit-unknown-labels",
            "warning",
            f"{len(unknown)} of {len(known)} audited records bear a label that no labelled record "
            "has: whatever is predicted for them counts as wrong.",
            len(unknown),
            tuple(sorted(unknown.unique().to_pylist())[:5]),
            "Mend them if they are slips; label some of them if they are new classes.",
        )
    ]


def twins(table: pa.Table, names: list[str], label: str, labels: pa.StringArray) -> list[str]:
    """Other columns that are the label written differently, such as `label` beside `label_name`.

    A column counts where its name says label, target or class and, on the labelled records, its
    values and the labels stand for each other one to one.
    """
    found = []
    for name in names:
        if not any(word in name.lower() for word in ("label", "target", "class")):
            continue
        if name == label or pa.types.is_nested(table[name].type):
            continue
        other = clean_labels(table[name])
        both = pc.and_(labels.is_valid(), other.is_valid())
        ours, theirs = _codes(labels.filter(both)), _codes(other.filter(both))
        pairs = len(np.unique(np.stack([ours, theirs]), axis=1).T)
        if pairs and pairs == ours.max() + 1 == theirs.max() + 1 and pairs > 1:
            found.append(name)
    return found


def _codes(values: pa.Array) -> npt.NDArray[np.int64]:
    codes = pc.dictionary_encode(values).indices.to_numpy(zero_copy_only=False)
    return np.asarray(codes, dtype=np.int64)
