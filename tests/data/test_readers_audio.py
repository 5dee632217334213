"""Folders, tables and Parquet of sounds become records of kind audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.data.sounds import wave_file

ENDS = ["wav", "flac", "ogg"]


def write(path: Path, pitch: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(pitch * np.arange(2000)), 8000)
    return path


def decoded(dataset: Dataset) -> int:
    """The number of records that can be decoded."""
    modality = MODALITIES["audio"]
    _, rejected = modality.decode(dataset, modality.describe(dataset))
    return len(dataset) - len(rejected)


def test_class_folders(tmp_path: Path) -> None:
    for i, end in enumerate(ENDS):
        write(tmp_path / "yes" / f"{i}.{end}", 0.1 + i)
        write(tmp_path / "no" / f"{i}.{end.upper()}", 0.2 + i)
        write(tmp_path / "unlabelled" / f"{i}.{end}", 0.3 + i)
    (tmp_path / "yes" / "notes.txt").write_text("not a sound")
    data = Dataset.read(tmp_path)
    assert (data.modality, data.classes, len(data)) == ("audio", ("no", "yes"), 9)
    assert len(data.unlabelled) == 3
    assert data.quarantine["reason"].to_pylist() == ["not a sound"]
    assert decoded(data) == 9


def test_flat_folder_with_labels(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / f"{i}.wav", 0.1 + i)
    (tmp_path / "labels.csv").write_text("file,label\n0.wav,a\n1.wav,b\n9.wav,a\n")
    data = Dataset.read(tmp_path)
    assert (data.modality, len(data), len(data.labelled)) == ("audio", 4, 2)
    assert data.quarantine["reason"].to_pylist() == ["missing file"]
    assert decoded(data) == 4


def test_table_of_paths(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path / "clips" / f"{i}.flac", 0.1 + i)
    write(tmp_path.parent / "outside.flac", 0.7)
    rows = [f"clips/{i}.flac,{'ab'[i % 2]}" for i in range(6)] + ["../outside.flac,a"]
    (tmp_path / "table.csv").write_text("sound,label\n" + "\n".join(rows))
    data = Dataset.read(tmp_path / "table.csv")
    assert (data.modality, data.columns[0].kind, len(data)) == ("audio", "audio", 6)
    assert data.quarantine["reason"].to_pylist() == ["path outside the folder"]
    assert decoded(data) == 6


@pytest.mark.parametrize("struct", [False, True])
def test_parquet_of_bytes(tmp_path: Path, struct: bool) -> None:
    files = [write(tmp_path / f"{i}.{ENDS[i % 3]}", 0.1 + i).read_bytes() for i in range(6)]
    column = [{"bytes": b, "path": None} for b in files] if struct else files
    table = pa.table(
        {"audio": pa.array(column), "speaker": list("uvwuvw"), "label": list("ababab")}
    )
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "x.parquet")
    data = Dataset.read(tmp_path / "data" / "x.parquet")
    assert (data.modality, [c.name for c in data.columns]) == ("audio", ["audio"])
    assert decoded(data) == 6
    # The same sounds are the same records, from bytes and from files.
    rows = "\n".join(f"{i}.{ENDS[i % 3]},{'ab'[i % 2]}" for i in range(6))
    (tmp_path / "paths.csv").write_text("audio,label\n" + rows)
    again = Dataset.read(tmp_path / "paths.csv")
    assert again.hash == data.hash


def test_riff_files_are_told_apart() -> None:
    webp = b"RIFF\x24\0\0\0WEBPVP8 " + bytes(20)
    sound = wave_file(np.sin(np.arange(900.0)), 8000, exact=False)
    for value, kind in ((webp, "image"), (sound, "audio")):
        frame = pa.table({"x": pa.array([value] * 3, pa.binary())})
        assert [c.kind for c in Dataset.from_frame(frame, label=False).columns] == [kind]


def test_new_records_are_read_as_the_first_were(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / f"{i}.wav", 0.1 + i)
    (tmp_path / "a.csv").write_text("sound,label\n0.wav,a\n1.wav,b\n")
    (tmp_path / "b.csv").write_text("sound\n2.wav\n3.wav\nnone.wav\n")
    first = Dataset.read(tmp_path / "a.csv")
    later = Dataset.read(tmp_path / "b.csv", columns=first.columns, label=False)
    assert (later.modality, len(later)) == ("audio", 2)
    assert later.quarantine["reason"].to_pylist() == ["missing file"]


def test_a_folder_without_any_says_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mp4").write_bytes(b"0")
    with pytest.raises(DataError, match=r"no sounds \(\.wav \.flac \.ogg \.oga\)"):
        Dataset.read(tmp_path)
