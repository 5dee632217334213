"""Making a run: the experiment, then its files, the description last."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from leaven import __version__
from leaven.core.budget import Budget
from leaven.core.errors import SettingError
from leaven.core.progress import Progress
from leaven.core.recipe import Recipe
from leaven.data.dataset import Dataset
from leaven.data.rewriting import Rewriter
from leaven.evaluate.experiment import Experiment, experiment
from leaven.evaluate.folder import RunFolder, folder_bytes, write_json
from leaven.evaluate.lineage import FILE as LABELS
from leaven.evaluate.lineage import labels_table
from leaven.evaluate.pretrained import make_pretraining
from leaven.evaluate.pretraining import Pretraining
from leaven.evaluate.run import Run
from leaven.evaluate.spending import Caps
from leaven.evaluate.story import shown_records, tell
from leaven.evaluate.tables import predictions_table, write_parquet
from leaven.learn.extractor import find_extractor
from leaven.learn.plan import plan
from leaven.learn.rewriters import find_rewriter
from leaven.learn.start import Start, find_start
from leaven.learn.subwords import trainable

__all__ = ["make_run"]

_PRETRAINING = 0.45  # of a time budget, where the encoder is pretrained first


def make_run(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    command: str,
    fresh: bool,
    listen: Callable[[Progress], None],
    rewriter: Rewriter | None = None,
    reading: Mapping[str, str] | None = None,
    caps: Caps | None = None,
) -> Run:
    """Make, continue or reopen the run of this data and recipe under `out`.

    `rewriter` is the function that the recipe only names, `reading` the names by which the records
    were read, so that they can be read again. `caps` are no part of the run: who comes back with
    higher ones goes on with it. Raises RunError when another process is making the run, CapError
    where a cap is reached.
    """
    start = find_start(recipe.encoder, dataset.modality) or _trainable(recipe, dataset)
    extractor = find_extractor(recipe.encoder, dataset.modality) if start is None else None
    if recipe.pretext and start is not None:
        raise SettingError("pretext", "none, for the encoder is pretrained", recipe.pretext)
    # A wrong choice leaves no folder behind.
    pretrains = {"encoder": ""} if recipe.pretext else {}  # its encoder is the pretext's matter
    plan(recipe.model_copy(update=pretrains), dataset, extractor is not None, start=start)
    asked, extracted = rewriter or recipe.rewrite, extractor is not None
    rewriting = find_rewriter(asked, dataset.modality, extracted, recipe.seed)
    name = _name(dataset, recipe)
    with RunFolder(out / name, fresh, caps) as folder:
        if not (folder.path / "run.json").exists():
            folder.check()
            pretraining = None
            if recipe.pretext:
                pretraining = _pretrained(dataset, recipe, folder, command, listen)
                named = {"pretext": pretraining.story["pretext"]["name"]}
                recipe, start = recipe.model_copy(update=named), pretraining.start
            doing = experiment(dataset, recipe, extractor, rewriting, folder, start)
            while True:
                try:
                    listen(next(doing))
                except StopIteration as done:
                    found: Experiment = done.value
                    break
            listen(Progress("writing the report"))
            _write(found, folder, name, command, dict(reading or {}), pretraining)
        shutil.rmtree(folder.work, ignore_errors=True)
    return Run.load(out / name)


def _trainable(recipe: Recipe, dataset: Dataset) -> Start | None:
    """The text transformer from elsewhere that is to be adapted, where the recipe asks for that.

    `full` is what a recipe says that says nothing, so it leaves such an encoder frozen; and `head`
    does. Both have their features computed once.
    """
    adapts = recipe.training.adapt in ("partial", "lora", "adapters")
    if not adapts or dataset.modality != "text":
        return None
    if find_extractor(recipe.encoder, dataset.modality) is None:
        return None
    if recipe.rewrite:
        raise SettingError(
            "rewrite", "none, for this encoder reads words of its own", recipe.rewrite
        )
    front, encoder = trainable(recipe.encoder, dataset)
    return Start(front, encoder, "", np.zeros((0, encoder.width), np.float32))


def _pretrained(
    dataset: Dataset,
    recipe: Recipe,
    folder: RunFolder,
    command: str,
    listen: Callable[[Progress], None],
) -> Pretraining:
    """The pretraining of this data, within the run's folder."""
    budget, share = Budget.parse(recipe.budget), 1.0
    if budget.seconds is not None:
        share = _PRETRAINING
    own = recipe.model_copy(
        update={"budget": str(budget.part(share)), "objective": {}, "method": "auto"}
    )

    def heard(progress: Progress) -> None:
        folder.tick()  # the caps are this folder's, and what it took is lost with a kill
        listen(progress)

    made = make_pretraining(
        dataset, own, folder.path / "pretraining", command, False, heard, worth=False
    )
    folder.tick()
    return made


def _name(dataset: Dataset, recipe: Recipe) -> str:
    """Readable, and another for other data, another recipe or another version of Leaven."""
    told = json.dumps([dataset.hash, _ids(dataset), recipe.model_dump()])
    digest = hashlib.sha256(f"{told}{__version__}".encode()).hexdigest()[:8]
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in dataset.name)[:40] or "data"
    return f"{plain}-{recipe.method}-{recipe.seed}-{digest}"


def _ids(dataset: Dataset) -> str:
    """Digest of what is no content: ids, groups and times decide the split, audits the report,
    votes teach, and who gave a label is told."""
    meta = dataset.meta
    there = () if meta is None else meta.column_names
    named = [name for name in ("group", "time", "audit", "by", "votes") if name in there]
    columns = [meta[name].to_pylist() for name in named] if meta is not None else []
    rows = sorted(map(repr, zip(map(str, dataset.ids), *columns, strict=True)))
    return hashlib.sha256("\x1e".join([*named, *rows]).encode()).hexdigest()


def _write(
    found: Experiment,
    folder: RunFolder,
    name: str,
    command: str,
    reading: dict[str, str],
    pretraining: Pretraining | None,
) -> None:
    """All files of the run; `run.json` comes last and makes it a run."""
    assert found.verdict is not None
    kept = found.predictors[found.verdict.kept]
    rest = [arm for arm in found.predictors if arm != found.verdict.kept]
    for left in ("model", "compared"):  # a killed process may have left files there half written
        shutil.rmtree(folder.path / left, ignore_errors=True)
    kept.save(folder.path / "model")
    unlabelled = found.dataset.unlabelled
    probabilities = kept.probabilities(found.arrays, unlabelled)
    other = probabilities
    if rest:
        compared = found.predictors[rest[0]]
        compared.save(folder.path / "compared")
        other = compared.probabilities(found.arrays, unlabelled)
    table = predictions_table(found.dataset.ids[unlabelled], probabilities, found.dataset.classes)
    write_parquet(table, folder.path / "predictions.parquet")
    write_parquet(found.dataset.quarantine, folder.path / "quarantine.parquet")
    write_parquet(_evidence(found), folder.path / "evidence.parquet")
    write_parquet(labels_table(found.dataset), folder.path / LABELS)
    write_json(folder.path / "shown.json", shown_records(found, unlabelled, probabilities))
    (folder.path / "recipe.toml").write_text(found.recipe.to_toml())
    spent = folder.spent
    run: dict[str, Any] = {
        "id": name,
        "name": found.dataset.name,
        "folder": str(folder.path),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "leaven": __version__,
        "command": command,
        "reading": reading,
        "seconds": round(spent.seconds, 1),
        "cpu_seconds": round(spent.cpu_seconds, 1),
    }
    story = tell(found, probabilities, other, run)
    story["cost"] = {
        "seconds": run["seconds"],
        "cpu_seconds": run["cpu_seconds"],
        "gpu_seconds": round(spent.gpu_seconds, 1),
        "peak_bytes": spent.peak_bytes,
        "arms": {
            arm: round(sum(one["cpu_seconds"] for one in found.records if one["arm"] == arm), 3)
            for arm in found.arms
        },
        "steps": {record["title"]: record["steps"] for record in found.records},
    }
    if pretraining is not None:
        told = ("sentence", "pretext", "seen", "watch", "alarms", "trained", "probed")
        story["pretraining"] = {key: pretraining.story[key] for key in told} | {
            "report": (pretraining.folder / "report.html").relative_to(folder.path).as_posix(),
            "untrained": pretraining.story["training"]["untrained"],
        }
    Run(folder.path, story).report()
    story["cost"]["bytes"] = folder_bytes(folder.path)
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
