"""Writes intents.csv and test.csv from the Parquet files of Banking77.

    python examples/banking77/build.py FOLDER_WITH_train.parquet_AND_test.parquet

Eight texts of each of the 77 intents keep their label (drawn with seed 0); the rest lose it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

LABELS_A_CLASS = 8
HERE = Path(__file__).parent


def hide_labels(labels: pa.ChunkedArray) -> pa.Array:
    """`labels` (n,) with all but LABELS_A_CLASS of each class made null."""
    names = labels.to_numpy(zero_copy_only=False)
    rng = np.random.default_rng(0)
    kept = np.zeros(len(names), dtype=bool)
    for name in sorted(set(names)):
        kept[rng.permutation(np.flatnonzero(names == name))[:LABELS_A_CLASS]] = True
    return pa.array(names, mask=~kept)


def main(source: Path) -> None:
    """Read both splits from `source` and write the two files beside this script."""
    train, test = (pq.read_table(source / f"{split}.parquet") for split in ("train", "test"))
    tables = {
        "intents.csv": pa.table(
            {"text": train["text"], "intent": hide_labels(train["label_name"])}
        ),
        "test.csv": pa.table(
            {
                "id": pc.binary_join_element_wise(
                    "test", pa.array(np.arange(len(test)).astype(str)), "-"
                ),
                "text": test["text"],
                "intent": test["label_name"],
            }
        ),
    }
    for name, table in tables.items():
        pyarrow.csv.write_csv(table, HERE / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
