"""The benchmark of a given graph, on a small one of the same form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cora import main
from benchmarks.results import read


def write_graph(folder: Path) -> None:
    """Two groups of 40 nodes with a word of their own, edges within the groups."""
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    source = np.repeat(np.arange(80), 3)
    target = (source + 2 * rng.integers(1, 20, len(source))) % 80
    words = y.astype(np.int32)
    folder.mkdir(parents=True)
    np.savez(
        folder / "cora.npz", edges=np.stack([source, target]), y=y,
        x_indptr=np.arange(81), x_indices=words, x_data=np.ones(80, np.float32),
        x_shape=np.array([80, 3]), train_idx=np.arange(6), val_idx=np.arange(6, 30),
        test_idx=np.arange(30, 80),
    )  # fmt: skip


def test_rows_are_fitted_once_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_graph(tmp_path / "cora")
    out = tmp_path / "rows.jsonl"
    order = ["--data", str(tmp_path), "--only", "correct-smooth,label-spreading", "--seeds", "2"]
    assert main([*order, "--out", str(out)]) == 0
    rows = read(out)
    assert [(row["row"], row["seed"]) for row in rows] == [
        ("correct-smooth", 0), ("correct-smooth", 1), ("label-spreading", 0), ("label-spreading", 1)
    ]  # fmt: skip
    assert all(row["accuracy"]["test"] > 0.9 for row in rows)
    assert {row["n"]["test"] for row in rows} == {50}
    assert "| `label-spreading` | edges alone | 100.00 ± 0.00 |" in capsys.readouterr().out
    assert main([*order, "--out", str(out)]) == 0
    assert read(out) == rows, "what is there is not fitted again"
    assert main(["--data", str(tmp_path), "--only", "gnn", "--out", str(out)]) == 2
