"""Folders of files, and tables that name files or hold them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.core.errors import DataError
from leaven.data.dataset import Column, Dataset
from tests.data.reading_parts import SENTENCES, png, reasons, texts, write


def test_class_folders_of_images(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / "cat" / f"{i}.png", png(i))
        write(tmp_path / "dog" / f"{i}.PNG", png(50 + i))
        write(tmp_path / "unlabeled" / "deep" / f"{i}.png", png(100 + i))
    write(tmp_path / "cat" / "notes.txt", "not an image")
    write(tmp_path / "README.md", "about")
    write(tmp_path / "cat" / ".DS_Store", "hidden")
    dataset = Dataset.read(tmp_path)
    assert dataset.modality == "image"
    assert dataset.classes == ("cat", "dog")
    assert (len(dataset.labelled), len(dataset.unlabelled)) == (6, 3)
    assert dataset.columns == (Column("image", "image"),)
    assert dataset.root == tmp_path
    assert reasons(dataset) == ["not an image", "outside the class folders"]
    (tmp_path / "cat").rename(tmp_path / "zebra")
    again = Dataset.read(tmp_path, label=False)
    assert sorted(again.ids) == sorted(dataset.ids), "ids are by the bytes, not by the path"
    assert not len(again.labelled)


def test_class_folders_of_texts(tmp_path: Path) -> None:
    for i, sentence in enumerate(SENTENCES):
        write(tmp_path / "ab"[i % 2] / f"{i}.txt", f"{sentence}\r\n")
    write(tmp_path / "unlabelled" / "0.txt", "")
    write(tmp_path / "unlabelled" / "1.txt", "w" * 2_000_000)
    dataset = Dataset.read(tmp_path)
    assert (dataset.modality, dataset.classes) == ("text", ("a", "b"))
    assert reasons(dataset) == ["empty record", "text too long"]
    table = Dataset.from_arrays(SENTENCES, ["a", "b"] * 6)
    assert dataset.hash == table.hash


def test_a_flat_folder_and_its_table(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path / f"{i}.png", png(i))
    rows = "file,label,patient\n0.png,a,p\n./1.png,b,q\n9.png,a,p\n0.png,b,r\n"
    write(tmp_path / "labels.csv", rows)
    dataset = Dataset.read(tmp_path, group="patient")
    by_file = dict(zip(texts(dataset), dataset.labels.to_pylist(), strict=True))
    assert by_file == {"0.png": "b", "1.png": "b", "2.png": None, "3.png": None, "4.png": None}
    assert reasons(dataset) == ["file named again", "missing file"]
    assert dataset.meta is not None
    assert dataset.meta["group"].to_pylist() == ["r", "q", None, None, None]
    (tmp_path / "labels.csv").rename(tmp_path.parent / f"{tmp_path.name}.csv")
    other = Dataset.read(tmp_path, labels=tmp_path.parent / f"{tmp_path.name}.csv")
    assert other.hash == dataset.hash
    with pytest.raises(DataError, match="labels.csv"):
        Dataset.read(tmp_path)
    assert len(Dataset.read(tmp_path, label=False)) == 5


def test_a_table_of_paths_stays_in_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "secret.png", png(9))
    home = tmp_path / "home"
    write(home / "pics" / "a.png", png(1))
    (home / "link.png").symlink_to(tmp_path / "secret.png")
    (home / "odd").mkdir()
    outside = ["../secret.png", str(tmp_path / "secret.png"), "link.png"]
    rows = ["pics/a.png", *outside, "gone.png"]
    write(home / "d.csv", "image,label\n" + "".join(f"{r},x\n" for r in rows))
    dataset = Dataset.read(home / "d.csv")
    assert texts(dataset) == ["pics/a.png"]
    assert reasons(dataset) == ["missing file", *["path outside the folder"] * 3]


def test_image_bytes_and_structs_are_images(tmp_path: Path) -> None:
    pictures = [png(i) for i in range(4)]
    plain = pa.table({"img": pa.array(pictures, pa.binary()), "label": [0, 1, -1, 1]})
    struct = pa.table(
        {"img": [{"bytes": b, "path": f"{i}.png"} for i, b in enumerate(pictures)],
         "label": [0, 1, -1, 1]}
    )  # fmt: skip
    seen = set()
    for name, table in {"a": plain, "b": struct}.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
        dataset = Dataset.read(tmp_path / f"{name}.parquet")
        assert (dataset.modality, len(dataset.labelled)) == ("image", 3)
        assert pa.types.is_binary(dataset.records["img"].type)
        seen.add(dataset.hash)
    assert len(seen) == 1
