"""Labels that were given elsewhere, joined to the records that they are about."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from leaven.core.errors import DataError
from leaven.core.files import reading
from leaven.core.wording import count, many
from leaven.data.dataset import Dataset, Finding
from leaven.data.formulas import restored
from leaven.data.labels import clean_labels
from leaven.data.readers import read_tables

__all__ = ["join_labels"]

_KEYS = ("content", "id")
#: Origins of labels that nobody gave.
_GUESSES = ("model", "rule")
#: How a table says that a label was brought about by the model's own action.
_CAUSED = ("true", "1", "yes")


def join_labels(dataset: Dataset, path: str | Path) -> Dataset:
    """The same records, with the labels of a table: its columns `content` or `id`, and `label`.

    `content` is what `leaven label export` writes: it finds a record wherever it stands, and all
    that equal it; where it is empty the `id` counts. A record that has a label keeps it where the
    table says nothing of it. Rows of no record here, and labels that differ from those that were
    there, are findings; so are rows whose `origin` is a `model` or a `rule`: they are guesses, and
    are left out. So are labels that are marked as `caused`: what was done because of a prediction
    brought them about, and they teach and judge nothing. Who gave a label (`people`, else the
    file) is kept in `meta` as `by`.

    The table may be encrypted, as Leaven writes one for a fit of its own. Raises DataError for a
    table without these columns, or one that names a record twice and
    differently.
    """
    table = _table(str(path))
    keys = [name for name in _KEYS if name in table.column_names]
    if not keys or "label" not in table.column_names:
        raise DataError(
            f"'{path}' is no table of labels: it needs the columns label and content or id. It "
            f"has {', '.join(table.column_names) or 'none'}."
        )
    found: dict[tuple[str, str], str] = {}
    givers: dict[tuple[str, str], str] = {}
    guessed = caused = 0
    columns = [table[key].cast(pa.string()).to_pylist() for key in keys]
    labels = clean_labels(table["label"]).to_pylist()
    told = [_texts(table, name) for name in ("origin", "people", "caused")]
    for label, origin, who, cause, *named in zip(labels, *told, *columns, strict=True):
        known = [(key, restored(one)) for key, one in zip(keys, named, strict=True) if one]
        if not known or label is None:
            continue
        if (origin or "").partition(":")[0] in _GUESSES:  # model:1a2b3c says which
            guessed += 1
            continue
        if cause is not None and cause.strip().lower() in _CAUSED:
            caused += 1
            continue
        givers[known[0]] = restored(who) if who else Path(path).name
        label = restored(label)
        if found.setdefault(known[0], label) != label:
            raise DataError(
                f"'{path}' says both {found[known[0]]!r} and {label!r} of the record "
                f"{known[0][1]}. Settle it, or export the consensus."
            )
    before = dataset.labels.to_pylist()
    after, met = list(before), set()
    by: list[str | None] = [None] * len(before)
    for key, names in (("id", dataset.ids.tolist()), ("content", dataset.content.tolist())):
        for row, name in enumerate(names):
            if (key, name) in found:
                after[row], by[row] = found[key, name], givers[key, name]
                met.add((key, name))
    changed: dict[tuple[str, str], int] = defaultdict(int)
    for old, new in zip(before, after, strict=True):
        if old is not None and old != new and new is not None:
            changed[old, new] += 1
    findings = list(dataset.findings)
    strange = found.keys() - met
    if strange:
        message = f"{many(len(strange), 'label is', 'labels are')} of no record of this set."
        advice = "Were they given to these records, unchanged?"
        findings.append(
            Finding("labels-unmatched", "warning", message, len(strange), advice=advice)
        )
    if guessed:
        said = many(guessed, "label is", "labels are")
        message = f"{said} a model's or a rule's guess, and left out."
        findings.append(Finding("labels-guessed", "info", message, guessed))
    if caused:
        said = many(caused, "label was", "labels were")
        message = f"{said} caused by what was done because of a prediction, and left out."
        findings.append(Finding("labels-caused", "info", message, caused))
    if changed:
        (old, new), most = max(changed.items(), key=lambda pair: pair[1])
        total = sum(changed.values())
        message = (
            f"{many(total, 'label', 'labels')} of the data differ from those given later, which "
            f"count: most often {old!r} became {new!r} ({count(most)})."
        )
        findings.append(Finding("labels-corrected", "info", message, total))
    given = dataset.with_meta("by", pa.array(by, pa.string()))
    return replace(given, labels=pa.array(after, pa.string()), findings=tuple(findings))


def _table(path: str) -> pa.Table:
    """The table at a path or URL; where it is encrypted it passes through memory."""
    if not Path(path).is_file():
        return read_tables([path], None).table
    with reading(Path(path)) as plain:
        return read_tables([str(plain)], None).table


def _texts(table: pa.Table, column: str) -> list[str | None]:
    """The cells of a column; None of each row where there is no such column."""
    if column not in table.column_names:
        return [None] * table.num_rows
    told: list[str | None] = table[column].cast(pa.string()).to_pylist()
    return told
