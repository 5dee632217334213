"""Making a run: the experiment, then its files, the description last."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from leaven import __version__
from leaven.core.progress import Progress
from leaven.core.recipe import Recipe
from leaven.data.dataset import Dataset
from leaven.data.rewriting import Rewriter
from leaven.evaluate.experiment import Experiment, experiment
from leaven.evaluate.folder import RunFolder, write_json
from leaven.evaluate.run import Run
from leaven.evaluate.story import shown_records, tell
from leaven.evaluate.tables import predictions_table
from leaven.learn.extractor import find_extractor
from leaven.learn.plan import plan
from leaven.learn.rewriters import find_rewriter

__all__ = ["make_run"]


def make_run(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    command: str,
    fresh: bool,
    listen: Callable[[Progress], None],
    rewriter: Rewriter | None = None,
) -> Run:
    """Make, continue or reopen the run of this data and recipe under `out`.

    `rewriter` is the function that the recipe only names. Raises RunError when another process is
    making the run.
    """
    extractor = find_extractor(recipe.encoder, dataset.modality)
    # A wrong choice leaves no folder behind.
    plan(recipe, dataset, extractor is not None)
    asked, extracted = rewriter or recipe.rewrite, extractor is not None
    rewriting = find_rewriter(asked, dataset.modality, extracted, recipe.seed)
    name = _name(dataset, recipe)
    with RunFolder(out / name, fresh) as folder:
        if not (folder.path / "run.json").exists():
            doing = experiment(dataset, recipe, extractor, rewriting, folder)
            while True:
                try:
                    listen(next(doing))
                except StopIteration as done:
                    found: Experiment = done.value
                    break
            listen(Progress("writing the report"))
            _write(found, folder, name, command)
        shutil.rmtree(folder.work, ignore_errors=True)
    return Run.load(out / name)


def _name(dataset: Dataset, recipe: Recipe) -> str:
    """Readable, and another for other data, another recipe or another version of Leaven."""
    told = json.dumps([dataset.hash, _ids(dataset), recipe.model_dump()])
    digest = hashlib.sha256(f"{told}{__version__}".encode()).hexdigest()[:8]
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in dataset.name)[:40] or "data"
    return f"{plain}-{recipe.method}-{recipe.seed}-{digest}"


def _ids(dataset: Dataset) -> str:
    """Digest of what is no content: ids, groups and times decide the split, audits the report."""
    meta = dataset.meta
    there = () if meta is None else meta.column_names
    named = [name for name in ("group", "time", "audit") if name in there]
    columns = [meta[name].to_pylist() for name in named] if meta is not None else []
    rows = sorted(map(repr, zip(map(str, dataset.ids), *columns, strict=True)))
    return hashlib.sha256("\x1e".join([*named, *rows]).encode()).hexdigest()


def _write(found: Experiment, folder: RunFolder, name: str, command: str) -> None:
    """All files of the run; `run.json` comes last and makes it a run."""
    assert found.verdict is not None
    kept = found.predictors[found.verdict.kept]
    rest = [arm for arm in found.predictors if arm != found.verdict.kept]
    kept.save(folder.path / "model")
    unlabelled = found.dataset.unlabelled
    probabilities = kept.probabilities(found.arrays, unlabelled)
    other = probabilities
    if rest:
        compared = found.predictors[rest[0]]
        compared.save(folder.path / "compared")
        other = compared.probabilities(found.arrays, unlabelled)
    table = predictions_table(found.dataset.ids[unlabelled], probabilities, found.dataset.classes)
    pq.write_table(table, folder.path / "predictions.parquet")
    pq.write_table(found.dataset.quarantine, folder.path / "quarantine.parquet")
    pq.write_table(_evidence(found), folder.path / "evidence.parquet")
    write_json(folder.path / "shown.json", shown_records(found, unlabelled, probabilities))
    (folder.path / "recipe.toml").write_text(found.recipe.to_toml())
    run: dict[str, Any] = {
        "id": name,
        "name": found.dataset.name,
        "folder": str(folder.path),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "leaven": __version__,
        "command": command,
        "seconds": round(folder.elapsed, 1),
        "cpu_seconds": round(folder.cpu, 1),
    }
    story = tell(found, probabilities, other, run)
    story["cost"] = {
        "seconds": run["seconds"],
        "cpu_seconds": run["cpu_seconds"],
        "steps": {record["title"]: record["steps"] for record in found.records},
    }
    Run(folder.path, story).report()
    write_json(folder.path / "run.json", story)


def _evidence(found: Experiment) -> pa.Table:
    """Each judged record: its label, and what either model said of it."""
    classes = pa.array(found.dataset.classes)
    columns: dict[str, Any] = {
        "id": [str(i) for i in found.dataset.ids[found.rows]],
        "content": [str(c) for c in found.dataset.content[found.rows]],
        "label": classes.take(pa.array(found.targets)),
    }
    for arm, probabilities in found.probabilities.items():
        said = probabilities.argmax(1) if len(probabilities) else np.zeros(0, np.int64)
        columns[f"{arm}"] = classes.take(pa.array(said))
        columns[f"{arm} confidence"] = pa.array(probabilities.max(1) if len(said) else said * 1.0)
        columns[f"{arm} p_label"] = pa.array(
            probabilities[np.arange(len(said)), found.targets] if len(said) else said * 1.0
        )
    return pa.table(columns)
