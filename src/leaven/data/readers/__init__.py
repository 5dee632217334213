"""Files, folders and URLs become a `Dataset`; one module a format, chosen here."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from leaven.core.errors import DataError
from leaven.data.assemble import Roles, assemble
from leaven.data.dataset import Dataset, Finding
from leaven.data.lines import open_bytes
from leaven.data.raw import Raw, Refused, Spool
from leaven.data.readers.columnar import read_columnar
from leaven.data.readers.delimited import read_delimited
from leaven.data.readers.folders import LABEL_TABLES, read_class_folders, read_flat_folder
from leaven.data.readers.graphs import graph_tables, read_graph_archive, read_graph_tables
from leaven.data.readers.objects import read_objects
from leaven.data.readers.series import is_headless, read_headless, read_ts

__all__ = ["data_name", "parts", "read", "read_tables"]

#: A path and what it is called in messages, to its records part by part, in order.
_Reader = Callable[[str, str], Iterator[Raw]]
#: How a file of UTF-16 or UTF-32 begins.
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_FILES = 512  # of a part of a folder
_READERS: dict[str, _Reader] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".tab": read_delimited,
    ".parquet": read_columnar,
    ".pq": read_columnar,
    ".jsonl": read_objects,
    ".ndjson": read_objects,
    ".json": read_objects,
    ".ts": read_ts,
}


def read(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    roles: Roles,
    *,
    labels: str | os.PathLike[str] | None = None,
    cache: Path | None = None,
) -> Dataset:
    """See `Dataset.read`."""
    if not isinstance(path, str | os.PathLike):
        paths = [os.fspath(p) for p in path]
        if not paths:
            raise DataError("The list of files to read is empty.")
        source = ", ".join(paths[:3]) + (" …" if len(paths) > 3 else "")
    else:
        paths = [os.fspath(path)]
        source = paths[0]
    if not all(paths):
        raise DataError("The name of the file or folder to read is empty. Give a path, or . here.")
    local = len(paths) == 1 and "://" not in paths[0]
    if local and paths[0].lower().endswith(".npz") and roles.modality in (None, "graph"):
        return read_graph_archive(paths[0], roles)
    if local and Path(paths[0]).is_dir():
        graph = _graph(Path(paths[0]), roles, cache)
        if graph is not None:
            return graph
        raw = _folder(Path(paths[0]), labels, roles, cache)
    else:
        raw = read_tables(paths, cache, series=roles.modality == "series")
    return assemble(raw, roles, name=data_name(paths[0]), source=source, cache=cache)


def data_name(path: str) -> str:
    """What data at a path are called: the file or folder without its ending."""
    return Path(path.rstrip("/")).name.split(".")[0] or "data"


def _graph(folder: Path, roles: Roles, cache: Path | None) -> Dataset | None:
    """The graph that lies in a folder; None where nothing says that there is one."""
    tables = [p for p in sorted(folder.iterdir()) if _ending(p.name) in _READERS]
    found = graph_tables(tables) if roles.modality in (None, "graph") else None
    if found is None:
        return None
    nodes, edges = (read_tables([str(path)], cache) for path in found)
    nodes.findings += edges.findings
    nodes.refused += edges.refused
    name, source = data_name(str(folder)), str(folder)
    return read_graph_tables(nodes, edges, roles, name=name, source=source, cache=cache)


def _folder(
    folder: Path, labels: str | os.PathLike[str] | None, roles: Roles, cache: Path | None
) -> Raw:
    """Read a folder by what lies in it."""
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    beside = [folder / name for name in LABEL_TABLES if (folder / name).is_file()]
    folders = [p for p in entries if p.is_dir() and p.name != "__MACOSX"]
    tables = _tables_alone(folder)
    if tables and labels is None:
        return read_tables(tables, cache, series=roles.modality == "series")
    if labels is not None or beside:
        table = os.fspath(labels) if labels is not None else str(beside[0])
        if labels is not None and not Path(table).exists() and (folder / table).exists():
            table = str(folder / table)
        return read_flat_folder(folder, read_tables([table], cache), roles)
    if not entries:
        raise DataError(f"{folder} is empty. Give a folder of tables, images, sounds or texts.")
    if roles.label is False:  # then sub-folders are no classes, and all files count
        return read_flat_folder(folder, None, roles)
    if folders:
        return read_class_folders(folder)
    raise DataError(
        f"{folder} holds files and nothing that says their labels. Put them into one sub-folder a "
        f"class (and unlabelled/), or add a table {LABEL_TABLES[0]} with columns file and label."
    )


def read_tables(paths: Sequence[str], cache: Path | None, *, series: bool = False) -> Raw:
    """Read table files one after the other; those of series may be without a header."""
    refused: list[Refused] = []
    findings: list[Finding] = []
    with Spool(cache) as spool:
        for part in _parts_of_tables(paths, series):
            for batch in part.table.to_batches():
                spool.write(batch)
            refused += part.refused
            findings += part.findings
        table = spool.finish()
    return Raw(table, refused, findings, root=_beside(paths))


def parts(path: str | os.PathLike[str], *, series: bool = False) -> Iterator[Raw]:
    """Table files, or a folder of files, of any size: some thousand records at a time, in order.

    Of a folder of pictures, sounds or texts each record is a file, and folders are no classes
    unless a table says so; those of its files that are none are refused before all records.
    Raises DataError as `read` does, as soon as it is met.
    """
    given = os.fspath(path)
    if not given:
        raise DataError("The name of the file or folder to read is empty. Give a path, or . here.")
    if "://" in given or not Path(given).is_dir():
        yield from _parts_of_tables([given], series)
        return
    folder = Path(given)
    tables = _tables_alone(folder)
    if tables:
        yield from _parts_of_tables(tables, series)
        return
    raw = _folder(folder, None, Roles(label=False), None)
    yield replace(raw, table=raw.table.slice(0, 0))
    for start in range(0, raw.table.num_rows, _FILES):
        part = raw.table.slice(start, _FILES)
        share = (start + part.num_rows) / raw.table.num_rows
        yield replace(raw, table=part, refused=[], findings=[], listed=True, share=share)


def _parts_of_tables(paths: Sequence[str], series: bool) -> Iterator[Raw]:
    """Files one after the other; the share that is read counts each alike."""
    for number, path in enumerate(paths):
        reader = _READERS.get(_ending(path)) or _sniffed(path)
        if reader is read_delimited:
            _refuse_binary(path)
            reader = read_headless if series and is_headless(path) else reader
        source = Path(path).name
        if sum(Path(other).name == source for other in paths) > 1:
            source = path
        for part in reader(path, source):
            part.root = _beside(paths)
            if part.share is not None:
                part.share = (number + part.share) / len(paths)
            yield part


def _beside(paths: Sequence[str]) -> Path | None:
    """The folder that tables' paths are relative to."""
    return None if "://" in paths[0] else Path(paths[0]).resolve().parent


def _tables_alone(folder: Path) -> list[str]:
    """The tables of a folder that holds nothing else; else none."""
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    tables = [str(p) for p in entries if p.is_file() and _ending(p.name) in _READERS]
    return tables if len(tables) == len(entries) else []


def _ending(path: str) -> str:
    name = path.lower().split("?")[0] if "://" in path else path.lower()
    return Path(name.removesuffix(".gz")).suffix


def _head(path: str) -> bytes:
    """The first bytes of a file. Raises DataError if it cannot be unpacked."""
    with open_bytes(path) as stream:
        try:
            return stream.read(4096)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path!r} is damaged: {error}.") from error


def _sniffed(path: str) -> _Reader:
    """The reader for a file whose name does not say what it is."""
    head = _head(path)
    if head.startswith(b"PAR1"):
        return read_columnar
    if head.lstrip().startswith((b"{", b"[")):
        return read_objects
    if not head.startswith(_WIDE) and sum(byte < 9 for byte in head) > 0:
        raise _no_table(path)
    return read_delimited


def _refuse_binary(path: str) -> None:
    """Raise DataError for a spreadsheet or noise that is called a CSV; NULs alone are mended."""
    head = _head(path)
    odd = sum(0 < byte < 9 or 13 < byte < 32 for byte in head)
    if head.startswith(b"PK\3\4") or (odd > 0.05 * len(head) and not head.startswith(_WIDE)):
        raise _no_table(path)


def _no_table(path: str) -> DataError:
    return DataError(
        f"{path!r} is no table that can be read. Give CSV, TSV, Parquet, JSON Lines or a JSON "
        "array (also as .gz), or a folder of images, sounds or .txt files."
    )
