"""Writes scikit-learn's handwritten digits as PNG files, a few labelled and the rest not.

    python examples/digits.py FOLDER

makes FOLDER/train with one sub-folder a class (4 images each) and unlabelled/, and FOLDER/test,
400 images that no training sees, with FOLDER/test.csv that names them (columns id, image, label).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

LABELS_A_CLASS = 4
TEST_IMAGES = 400


def write_digits(folder: Path) -> dict[str, str]:
    """Write the 1,797 images of 8 × 8 grey levels below `folder`; the test labels by id."""
    digits = load_digits()
    pixels = (digits.images * (255 / 16)).round().astype(np.uint8)  # (1797, 8, 8)
    order = np.random.default_rng(0).permutation(len(pixels))
    test, rest = order[:TEST_IMAGES], order[TEST_IMAGES:]
    written = np.zeros(10, dtype=int)
    for position in rest:
        label = digits.target[position]
        written[label] += 1
        place = str(label) if written[label] <= LABELS_A_CLASS else "unlabelled"
        _write(pixels[position], folder / "train" / place / f"{position:04d}.png")
    names = [f"{position:04d}.png" for position in test]
    for name, position in zip(names, test, strict=True):
        _write(pixels[position], folder / "test" / name)
    truth = {name: str(digits.target[i]) for name, i in zip(names, test, strict=True)}
    with (folder / "test.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "image", "label"])
        table.writerows([name, f"test/{name}", label] for name, label in truth.items())
    return truth


def _write(pixels: np.ndarray, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


if __name__ == "__main__":
    write_digits(Path(sys.argv[1]))
