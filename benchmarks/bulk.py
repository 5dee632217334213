"""How fast a large file is scored, and in how much memory, beside pandas and scikit-learn.

    python -m benchmarks.bulk cells --rows 5000000 [--folder /tmp/bulk]
    python -m benchmarks.bulk texts --megabytes 1000

Both models are made of the same 2,000 labelled records; the peer's is a pipeline of scikit-learn
(scaled numbers and one-hot words, or TF-IDF of words, then a logistic regression), asked in a plain
loop over `pandas.read_csv(chunksize=20000)` that appends to a CSV. Each scores the same file in a
process of its own, one after the other: wall and CPU seconds, and the most memory that it held.
`--kill` ends Leaven's in the middle as `kill -9` does, calls it again, and compares the files.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from benchmarks.machine import commit, machine

CLASSES = ("refund", "delivery", "login", "praise")
_WORDS = 3000  # of the made language
_CHUNK = 20_000
_TAUGHT, _SHOWN = 20_000, 2_000


def main() -> None:
    """Make the data and the models, score with both, tell the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("cells", "texts", "ours", "theirs"))
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=Path("bulk"))
    parser.add_argument("--kill", action="store_true")
    told, rest = parser.parse_known_args()
    if told.kind in ("ours", "theirs"):
        _report(_score if told.kind == "ours" else _loop, *rest)
        return
    folder: Path = told.folder
    folder.mkdir(parents=True, exist_ok=True)
    made = made_cells if told.kind == "cells" else made_texts
    rng = np.random.default_rng(0)
    small, data = folder / f"{told.kind}-taught.csv", folder / f"{told.kind}.csv"
    taught = made(rng, _TAUGHT)
    taught.loc[_SHOWN:, "label"] = None
    taught.to_csv(small, index=False)
    _write(data, made, told)
    run = _fitted(small, folder)
    found: dict[str, Any] = {"machine": machine(), "commit": commit(), "bytes": data.stat().st_size}
    for name in ("ours", "theirs"):
        out = folder / f"{told.kind}-{name}.csv"
        found[name] = _measured(name, str(run), str(small), str(data), str(out))
    found["rows"] = sum(1 for _ in (folder / f"{told.kind}-theirs.csv").open("rb")) - 1
    found["ratio_cpu"] = found["theirs"]["cpu"] / found["ours"]["cpu"]
    found["ratio_wall"] = found["theirs"]["wall"] / found["ours"]["wall"]
    if told.kill:
        found["after_kill"] = _killed(run, small, data, folder / f"{told.kind}-ours.csv", found)
    print(json.dumps(found, indent=1))


def made_cells(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Six numbers and two words a row; four classes that overlap."""
    label = rng.integers(0, 4, n)
    centres = np.random.default_rng(1).normal(size=(4, 6))
    frame = pd.DataFrame((rng.normal(size=(n, 6)) * 1.5 + centres[label]).round(3))
    frame.columns = [f"x{i}" for i in range(6)]
    frame["shop"] = np.array(["north", "south", "east", "west"])[rng.integers(0, 4, n)]
    frame["paid"] = np.array(["card", "cash", "bill"])[(label + rng.integers(0, 3, n)) % 3]
    frame["label"] = np.array(CLASSES)[label]
    return frame


def made_texts(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Texts of 20 to 60 words of a made language, some of which belong to a class."""
    label = rng.integers(0, 4, n)
    words = np.array([f"w{i:04d}" for i in range(_WORDS)])
    lengths = rng.integers(20, 60, n)
    drawn = (rng.pareto(1.1, lengths.sum()) * 20).astype(np.int64) % _WORDS
    telling = rng.random(len(drawn)) < 0.1
    owner = np.repeat(label, lengths)
    drawn[telling] = (drawn[telling] // 4 * 4 + owner[telling]) % _WORDS
    cuts = np.split(words[drawn], np.cumsum(lengths)[:-1])
    return pd.DataFrame(
        {"text": [" ".join(cut) for cut in cuts], "label": np.array(CLASSES)[label]}
    )


def _write(path: Path, made: Any, told: argparse.Namespace) -> None:
    """The large file, without labels; texts are 20,000 that come again behind a new number."""
    rng, rows = np.random.default_rng(2), 0
    texts = pa.array(made_texts(rng, _TAUGHT)["text"], pa.string()) if made is made_texts else None
    with path.open("wb") as file:
        while file.tell() < told.megabytes << 20 if texts is not None else rows < told.rows:
            if texts is None:
                block = pa.Table.from_pandas(made(rng, 100_000).drop(columns="label"))
            else:
                numbers = pa.array(np.arange(rows, rows + len(texts))).cast(pa.string())
                block = pa.table({"text": pc.binary_join_element_wise(numbers, texts, " ")})
            pa_csv.write_csv(block, file, pa_csv.WriteOptions(include_header=not rows))
            rows += block.num_rows


def _fitted(small: Path, folder: Path) -> Path:
    import leaven

    run = leaven.fit(small, label="label", method="logistic", budget="60s", out=folder / "runs")
    return run.folder


def _measured(name: str, *words: str) -> dict[str, float]:
    """One side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bulk", name, *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _killed(run: Path, small: Path, data: Path, whole: Path, found: dict[str, Any]) -> Any:
    """Kill ours at half of its time, go on, and hold the result against the undisturbed one."""
    out = whole.with_name(f"again-{whole.name}")
    words = ["ours", str(run), str(small), str(data), str(out)]
    child = subprocess.Popen([sys.executable, "-m", "benchmarks.bulk", *words])
    time.sleep(found["ours"]["wall"] / 2 + found["ours"]["load"])
    child.send_signal(signal.SIGKILL)
    child.wait()
    again = _measured(*words)
    same = subprocess.run(["cmp", "-s", str(whole), str(out)], check=False).returncode == 0
    return again | {"same": same}


def _report(score: Any, run: str, small: str, data: str, out: str) -> None:
    """Do it, and tell what it took without the loading of the model."""
    began = time.perf_counter()
    ask = score(run, small)
    loaded, cpu = time.perf_counter(), time.process_time()
    more = ask(data, out)
    told = {
        "load": loaded - began,
        "wall": time.perf_counter() - loaded,
        "cpu": time.process_time() - cpu,
        "memory_mb": _most_memory(),
    }
    print(json.dumps(told | more))


def _most_memory() -> float:
    """MB that this process held at most; `getrusage` would count those of its parent too."""
    told = Path("/proc/self/status").read_text("utf-8")
    return int(told.partition("VmHWM:")[2].split()[0]) / 1024


def _score(run: str, _: str) -> Any:
    from leaven.operate.scoring.answering import open_answering
    from leaven.operate.scoring.bulk import score_file

    answering = open_answering(run)

    def ask(data: str, out: str) -> dict[str, float]:
        scored = score_file(answering, data, Path(out))
        return {"records": scored.records, "resumed": scored.resumed}

    return ask


def _loop(_: str, small: str) -> Any:
    """The same kind of model by scikit-learn, and the loop that anyone would write."""
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    taught = pd.read_csv(small).dropna(subset="label")
    if "text" in taught:
        front: Any = make_column_transformer((TfidfVectorizer(sublinear_tf=True), "text"))
    else:
        words = ["shop", "paid"]
        front = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), words), remainder=StandardScaler()
        )
    model = make_pipeline(front, LogisticRegression(max_iter=1000))
    model.fit(taught.drop(columns="label"), taught["label"])

    def ask(data: str, out: str) -> dict[str, float]:
        rows = 0
        with open(out, "w") as file:  # noqa: PTH123 - as in the loop that is meant
            for chunk in pd.read_csv(data, chunksize=_CHUNK):
                said = model.predict_proba(chunk)
                frame = pd.DataFrame(said, columns=[f"p_{name}" for name in model.classes_])
                frame.insert(0, "prediction", model.classes_[said.argmax(1)])
                frame.insert(1, "confidence", said.max(1))
                frame.to_csv(file, index=True, header=not rows)
                rows += len(chunk)
        return {"records": rows, "resumed": 0}

    return ask


if __name__ == "__main__":
    os.environ.setdefault("LEAVEN_CACHE", "off")
    main()
