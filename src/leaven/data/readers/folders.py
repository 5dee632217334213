"""Folders of files: one sub-folder a class, or a flat folder beside a table of labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import DataError, UnknownNameError
from leaven.data.assemble import Roles
from leaven.data.conversion import as_strings
from leaven.data.kinds import AUDIO_SUFFIXES, IMAGE_SUFFIXES
from leaven.data.labels import label_column
from leaven.data.lines import Lines
from leaven.data.raw import ROW, SOURCE, Raw, Refused, Spool

__all__ = ["LABEL_TABLES", "read_class_folders", "read_flat_folder"]

LABEL_TABLES = ("labels.csv", "labels.parquet", "metadata.csv")
_UNLABELLED = ("unlabelled", "unlabeled")
_FILE_COLUMNS = (
    "file", "filename", "file_name", "path", "image", "image_path", "audio", "audio_path",
)  # fmt: skip
#: Of as many files of two kinds, the kind that stands first counts.
_SUFFIXES = {"image": IMAGE_SUFFIXES, "audio": AUDIO_SUFFIXES, "text": (".txt",)}
_OTHERS = {"image": "not an image", "audio": "not a sound", "text": "not a .txt file"}
_LONGEST_TEXT = 1 << 20
_BATCH = 2_000


def _listed(folder: Path) -> list[str]:
    """Files below `folder`, as sorted paths with forward slashes; hidden ones are left out.

    Links to folders are followed, each real folder once, so that a loop of links ends.
    """
    found = []
    seen = {folder.resolve()}
    for place, folders, files in os.walk(folder, followlinks=True):
        inside = Path(place).relative_to(folder)
        found += [(inside / f).as_posix() for f in files if not f.startswith(".")]
        real = {name: (Path(place) / name).resolve() for name in sorted(folders)}
        folders.clear()
        for name, target in real.items():
            if not name.startswith((".", "__MACOSX")) and target not in seen:
                seen.add(target)
                folders.append(name)
    return sorted(found)


def _sorted_out(names: Sequence[str], folder: Path) -> tuple[str, list[str], list[Refused]]:
    """What most files are, `image`, `audio` or `text`, those files, and the refused others."""
    by_suffix = Counter(Path(name).suffix.lower() for name in names)
    counts = {kind: sum(by_suffix[end] for end in ends) for kind, ends in _SUFFIXES.items()}
    kind = max(counts, key=lambda kind: counts[kind])
    if not counts[kind]:
        raise DataError(
            f"{folder} holds no images ({' '.join(IMAGE_SUFFIXES)}), no sounds "
            f"({' '.join(AUDIO_SUFFIXES)}), no .txt files and no tables. "
            f"It holds: {', '.join(list(names)[:5]) or 'nothing'}."
        )
    suffixes = _SUFFIXES[kind]
    fit = [name for name in names if name.lower().endswith(suffixes)]
    others = [name for name in names if not name.lower().endswith(suffixes)]
    reason = _OTHERS[kind]
    detail = f"the name does not end in one of {' '.join(suffixes)}"
    return kind, fit, [(name, 0, reason, detail) for name in others]


def read_class_folders(folder: Path) -> Raw:
    """One sub-folder a class, `unlabelled/` for the rest; files beside the folders are refused."""
    names = _listed(folder)
    stray: list[Refused] = [
        (name, 0, "outside the class folders", "no class folder holds it")
        for name in names
        if "/" not in name
    ]
    kind, fit, others = _sorted_out([name for name in names if "/" in name], folder)
    tops = [name.split("/", 1)[0] for name in fit]
    labels = pa.array([None if top.lower() in _UNLABELLED else top for top in tops], pa.string())
    raw = _files(folder, kind, fit, pa.table({"label": labels}))
    raw.refused += stray + others
    raw.fixed_labels = "label"
    return raw


def read_flat_folder(folder: Path, labels: Raw | None, roles: Roles) -> Raw:
    """Files and a table that names some of them; files it does not name are unlabelled.

    Columns of the table that have a role are kept. Rows whose file is not there are refused.
    Without a table all files are unlabelled. Raises UnknownNameError for columns not there.
    """
    names = _listed(folder)
    if labels is None:
        kind, fit, others = _sorted_out(names, folder)
        raw = _files(folder, kind, fit, pa.table({"label": pa.nulls(len(fit), pa.string())}))
        raw.refused += others
        raw.fixed_labels = "label"
        return raw
    kind, fit, others = _sorted_out([n for n in names if n not in LABEL_TABLES], folder)
    table = labels.table
    columns = [name for name in table.column_names if name not in (SOURCE, ROW)]
    file_column = next((c for c in columns if c.lower() in _FILE_COLUMNS), None)
    if file_column is None:
        raise UnknownNameError("file column of the label table", ", ".join(columns), _FILE_COLUMNS)
    keep = {role: getattr(roles, role) for role in ("id", "group", "time", "audit")}
    for role, name in keep.items():
        if name is not None and name not in columns:
            raise UnknownNameError(role, name, columns)
    chosen = label_column([c for c in columns if c not in (file_column, roles.audit)], roles.label)
    mentioned = as_strings(table[file_column]).to_pylist()
    place = {
        os.path.normpath(str(name)).replace(os.sep, "/"): i for i, name in enumerate(mentioned)
    }
    refused: list[Refused] = []
    present, origin = set(fit), table.select([SOURCE, ROW])
    for name, i in place.items():
        if name not in present:
            where = origin.slice(i, 1).to_pylist()[0]
            refused.append((where[SOURCE], where[ROW], "missing file", str(mentioned[i])[:200]))
    twice = len(mentioned) - len(place)
    if twice:
        refused += _repeated(mentioned, place, origin)
    wanted = list(dict.fromkeys(c for c in (chosen, *keep.values()) if c is not None))
    rows = pa.array([place.get(name) for name in fit], pa.int64())
    raw = _files(folder, kind, fit, table.select(wanted).take(rows))
    raw.refused += labels.refused + others + refused
    raw.findings += labels.findings
    raw.fixed_labels = chosen
    return raw


def _repeated(
    mentioned: Sequence[str | None], place: dict[str, int], origin: pa.Table
) -> list[Refused]:
    """Rows of the label table whose file a later row names again."""
    last = set(place.values())
    again = [i for i in range(len(mentioned)) if i not in last]
    rows = origin.take(pa.array(again, pa.int64())).to_pylist()
    return [
        (row[SOURCE], row[ROW], "file named again", f"{mentioned[i]}: a later row counts")
        for i, row in zip(again, rows, strict=True)
    ]


def _files(folder: Path, kind: str, names: Sequence[str], beside: pa.Table) -> Raw:
    """The files as records, with the columns `beside` them."""
    where = {SOURCE: pa.array(names, pa.string()), ROW: pa.array(np.ones(len(names), np.int64))}
    feature = kind
    while feature in beside.column_names:
        feature += "_"
    for name, column in zip(beside.column_names, beside.columns, strict=True):
        where[name] = column
    if kind != "text":
        table = pa.table({feature: pa.array(names, pa.string()), **where})
        return Raw(table, root=folder, listed=True)
    refused: list[Refused] = []
    findings = []
    with Spool() as spool:
        for start in range(0, len(names), _BATCH):
            batch: list[str | None] = []
            for name in names[start : start + _BATCH]:
                path = folder / name
                if path.stat().st_size > _LONGEST_TEXT:
                    refused.append((name, 0, "text too long", f"more than {_LONGEST_TEXT} bytes"))
                    batch.append(None)
                    continue
                lines = Lines(os.fspath(path))
                batch.append("".join(lines))
                findings += lines.findings(name)
            spool.write(pa.record_batch([pa.array(batch, pa.string())], [feature]))
        texts = spool.finish()[feature]
    table = pa.table({feature: texts, **where})
    if refused:
        table = table.filter(pc.invert(pc.is_in(table[SOURCE], pa.array([r[0] for r in refused]))))
    return Raw(table, refused, findings)
