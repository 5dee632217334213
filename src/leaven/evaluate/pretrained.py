"""Making a pretraining: an encoder learns from records without labels, is watched, and weighed."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leaven import __version__
from leaven.core.budget import Budget
from leaven.core.errors import RunError, SettingError
from leaven.core.progress import Progress
from leaven.core.recipe import Recipe
from leaven.core.wording import count, percent, points, span
from leaven.data.arrays import Arrays
from leaven.data.checks import check
from leaven.data.dataset import Dataset, Finding, Index
from leaven.data.splits import Split, split
from leaven.evaluate.decoding import decoded
from leaven.evaluate.folder import RunFolder, write_json
from leaven.evaluate.map import map_records
from leaven.evaluate.pretraining import Pretraining
from leaven.evaluate.stages import follow, try_steps
from leaven.evaluate.starts import SCRATCH, compare_starts
from leaven.evaluate.story import dataset_story, environment
from leaven.evaluate.watching import Alarm, Collapsed, Watch, mended
from leaven.learn.choices.compose import composed
from leaven.learn.encoder import Encoder, encode, sample
from leaven.learn.extractor import find_extractor
from leaven.learn.front import Front
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.plan import suited
from leaven.learn.pretext import PRETEXTS, Pretext, default_pretext
from leaven.learn.probes import separability
from leaven.learn.sizes import named
from leaven.learn.start import PRETRAINING, Start

__all__ = ["make_pretraining"]

_LEAST_ASIDE = 20  # records set aside that can stand for all
_SAMPLE = 512  # records that the watch looks at
_KNOWN = 500  # labelled records that its probe asks about
_KEPT = 1000  # records whose features are kept beside the encoder
_RESTARTS = 2
_PROBE = 0.02  # of a time budget, for the price of a step
_TRAIN, _COMPARE = 0.55, 0.9  # of a time budget: when training ends, when the comparison does
_ALONE = 0.92  # of it, when training ends where nothing is compared
_SURE = 0.025  # the better of two ways is told of, so each has half of the usual 5 %
_FEWEST = 200  # unlabelled records that suffice to be pretrained on without the labelled ones


@dataclass(frozen=True)
class _Found:
    """What a pretraining works on, and the pretext with its settings."""

    dataset: Dataset
    arrays: Arrays
    front: Front
    parts: Split | None
    findings: list[Finding]
    pretext: Pretext
    recipe: Recipe
    problem: Problem
    aside: Index
    rule: str
    worth: bool

    @property
    def due(self) -> float | None:
        """The folder's time by which training is to end; None under a budget in steps."""
        seconds = Budget.parse(self.recipe.budget).seconds
        compared = self.worth and len(self.labelled)
        return None if seconds is None else seconds * (_TRAIN if compared else _ALONE)

    @property
    def labelled(self) -> Index:
        """Records whose labels may be asked about: those outside the holdout."""
        return np.zeros(0, np.int64) if self.parts is None else self.parts.train


def make_pretraining(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    command: str,
    fresh: bool,
    listen: Callable[[Progress], None],
    against: Sequence[str] = (),
    worth: bool = True,
) -> Pretraining:
    """Make, continue or reopen the pretraining of this data and recipe under `out`.

    With `worth` the encoder is compared with other starts, those of `against` (frozen encoders by
    name or folder) among them, where there are labels. Raises RunError when another process is at
    it, and where the training collapsed again after it was mended.
    """
    chosen = _planned(recipe, dataset)
    for name in against:  # a wrong one is told before any work
        find_extractor(name, dataset.modality)
    name = _name(dataset, chosen, against, worth)
    with RunFolder(out / name, fresh) as folder:
        if not (folder.path / PRETRAINING).exists():
            doing = _pretrain(dataset, chosen, against, worth, folder, name, command)
            while True:
                try:
                    listen(next(doing))
                except StopIteration:
                    break
        shutil.rmtree(folder.work, ignore_errors=True)
    return Pretraining.load(out / name)


def _planned(recipe: Recipe, dataset: Dataset) -> Recipe:
    """Pretext and encoder filled in, and the training settings that suit them."""
    extracted = find_extractor(recipe.encoder, dataset.modality) is not None
    views = "embedding" if extracted else dataset.modality
    name = recipe.pretext if recipe.pretext not in ("", "auto") else default_pretext(views)
    pretext = PRETEXTS[name]
    wished = "" if extracted else recipe.encoder
    wished, _ = named(wished, views, len(dataset.labelled), len(dataset), pretext.asks)
    encoder = pretext.encoder(views, wished)
    pretext.check(recipe.objective)
    training = suited(recipe.training, encoder, pretext.trained_by)
    filled = {"pretext": name, "modality": dataset.modality, "training": training}
    if not extracted:
        filled["encoder"] = encoder
    return recipe.model_copy(update=filled)


def _name(dataset: Dataset, recipe: Recipe, against: Sequence[str], worth: bool) -> str:
    told = json.dumps([dataset.hash, recipe.model_dump(), list(against), worth, __version__])
    digest = hashlib.sha256(told.encode()).hexdigest()[:8]
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in dataset.name)[:40] or "data"
    return f"{plain}-{recipe.pretext}-{recipe.seed}-{digest}"


def _pretrain(
    dataset: Dataset,
    recipe: Recipe,
    against: Sequence[str],
    worth: bool,
    folder: RunFolder,
    name: str,
    command: str,
) -> Generator[Progress, None, None]:
    """All of it, each slow part kept as it is finished."""
    yield Progress("reading the records")
    found = _found(dataset, recipe, folder, worth)
    yield Progress("finding the pace")
    steps, each = _steps(found, folder)
    network, record, watch, restarts = yield from _fit(found, steps, folder)
    encoder = network.encoder
    yield Progress("asking what was learnt", steps, steps)
    torch.manual_seed(recipe.seed)
    untrained = watch.look(found.problem.build_encoder(), linear=True)
    comparison = None
    if worth and len(found.labelled):
        most = _affordable(found, each, folder)
        comparison = yield from compare_starts(
            found.dataset, found.problem, found.labelled, encoder, against, most, folder
        )
    yield Progress("writing the report", steps, steps)
    seen = found.problem.unlabelled
    told_by = found.aside if len(found.aside) >= _LEAST_ASIDE else seen
    features = _features(found, encoder, sample(told_by, _KEPT, recipe.seed))
    Start(found.front, encoder, recipe.pretext, features).save(folder.path / "encoder")
    story = {
        "run": {
            "id": name,
            "name": found.dataset.name,
            "folder": str(folder.path),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "leaven": __version__,
            "command": command,
            "seconds": round(folder.elapsed, 1),
            "cpu_seconds": round(folder.spent.cpu_seconds, 1),
        },
        "dataset": dataset_story(found.dataset, found.findings),
        "recipe": recipe.model_dump(),
        "recipe_toml": recipe.to_toml(),
        "pretext": {
            "name": recipe.pretext,
            "summary": found.pretext.summary,
            "paper": found.pretext.paper,
            "encoder": found.problem.encoder,
            "weights": sum(p.numel() for p in encoder.parameters()),
            "row": composed(found.pretext.objective, found.problem.settings).row,
        },
        "seen": {"records": len(seen), "rule": found.rule},
        "training": record | {"untrained": untrained, "restarts": restarts},
        "watch": watch.points,
        "alarms": [asdict(alarm) for alarm in watch.alarms],
        "trained": watch.look(encoder, linear=True),
        "probed": len(watch.known),
        "comparison": comparison,
        "mismatch": _mismatch(found, features, encoder),
        "map": map_records(found.dataset, found.arrays, seen, found.labelled, encoder, recipe.seed),
        "environment": environment(),
    }
    story["sentence"] = _sentence(story)
    write_json(folder.path / "pretraining.json.part", story)
    Pretraining(folder.path, story).report()
    (folder.path / "pretraining.json.part").replace(folder.path / PRETRAINING)


def _found(dataset: Dataset, recipe: Recipe, folder: RunFolder, worth: bool) -> _Found:
    """Decode, split, and say which records may be learnt from."""
    extractor = find_extractor(recipe.encoder, dataset.modality)
    front = Front.describe(dataset, extractor)
    dataset, arrays = decoded(dataset, front, folder)
    parts = split(dataset, seed=recipe.seed) if len(dataset.labelled) else None
    findings = check(dataset, arrays, parts) if parts else list(dataset.findings)
    seen, aside, rule = _seen(dataset, parts, recipe.seed)
    if len(seen) < 8:
        raise SettingError("data", "at least 8 records to pretrain on", len(seen))
    views = front.views.name
    pretext = PRETEXTS[recipe.pretext]
    problem = Problem(
        arrays=arrays,
        spec=front.arrays_spec,
        modality=views,
        task=recipe.task,
        classes=max(len(dataset.classes), 1),
        targets=np.full(len(dataset), -1),
        train=np.zeros(0, np.int64),
        unlabelled=seen,
        encoder=pretext.encoder(views, "" if extractor else recipe.encoder),
        seed=recipe.seed,
        settings=recipe.objective,
        training=recipe.training,
        common=seen,
    )
    return _Found(
        dataset, arrays, front, parts, findings, pretext, recipe, problem, aside, rule, worth
    )


def _seen(dataset: Dataset, parts: Split | None, seed: int) -> tuple[Index, Index, str]:
    """The records to learn from, some like them that are set aside, and the rule.

    No record that a fit may later be judged on is learnt from, where there are others. Those set
    aside show what the encoder says of records of this kind that it has not learnt by heart.
    """
    if parts is None:
        every = np.arange(len(dataset))
        aside = sample(every, min(len(every) // 10, _KEPT), seed)
        return np.setdiff1d(every, aside), aside, "no record has a label; a tenth is set aside"
    barred = np.concatenate([np.zeros(0, np.int64), *parts.barred])
    free = np.setdiff1d(parts.unlabelled, barred)
    if len(free) >= _FEWEST:
        return free, parts.proxy, "unlabelled records that equal no record that is ever judged"
    held = np.concatenate([parts.holdout, parts.calibration, parts.proxy])
    rest = np.setdiff1d(np.arange(len(dataset)), held)
    return (
        rest,
        parts.proxy,
        (
            f"only {count(len(free))} unlabelled records are free, so labelled ones outside the "
            "holdout are learnt from too, without their labels"
        ),
    )


def _steps(found: _Found, folder: RunFolder) -> tuple[int, float | None]:
    """The steps that the budget buys, found once, and the seconds of one."""
    budget = Budget.parse(found.recipe.budget)
    if budget.seconds is None:
        return budget.steps or 1, None
    kept = folder.read("pace.json")
    if kept is None:
        fit = found.pretext.fit(replace(found.problem, steps=1_000_000))
        cost = try_steps(fit, budget.seconds * _PROBE)
        assert found.due is not None
        left = found.due - folder.elapsed - cost.setup
        looks = 1.15  # the watch's part
        most = found.recipe.training.most_steps
        steps = int(min(max(left / (cost.step * looks), 10), most))
        kept = {"steps": steps, "each": cost.step}
        folder.write("pace.json", kept)
        folder.tick()
    return kept["steps"], kept["each"]


def _fit(
    found: _Found, steps: int, folder: RunFolder
) -> Generator[Progress, None, tuple[Network, dict[str, Any], Watch, list[dict[str, Any]]]]:
    """Train, and begin again with mended settings where an alarm ends the training."""
    restarts: list[dict[str, Any]] = folder.read("restarts.json") or []
    known = sample(found.labelled, _KNOWN, found.recipe.seed)
    while True:
        problem = replace(found.problem, steps=steps)
        for told in restarts:
            problem = mended(problem, Alarm(**told))
        objective = composed(found.pretext.objective, problem.settings)
        watched = sample(problem.unlabelled, _SAMPLE, problem.seed)
        watch = Watch(problem, objective, watched, known, found.dataset.targets[known])
        home = folder.work / f"training-{len(restarts)}"
        done = folder.read(f"trained-{len(restarts)}.json")
        if done is not None:
            watch.restore(done["watch"])
            return Network.load(home), done["record"], watch, restarts
        fit = found.pretext.fit(problem, home / "checkpoint.safetensors")
        title = f"pretraining by {found.pretext.name}"
        try:
            network, record = yield from _timed(
                follow(fit, title, home, folder, watch, found.due, 1, problem.training.patience)
            )
        except Collapsed as collapsed:
            shutil.rmtree(home, ignore_errors=True)
            alarm = collapsed.alarm
            if not alarm.mended or len(restarts) >= _RESTARTS:
                raise RunError(
                    f"The pretraining was stopped at step {alarm.step}: {alarm.cause}. "
                    f"It had been mended {len(restarts)} times. {_other(found)}"
                ) from collapsed
            restarts.append(asdict(alarm))
            folder.write("restarts.json", restarts)
            yield Progress(f"{alarm.kind}, beginning again", 0, steps, message=alarm.cause)
            continue
        record["rate"] = problem.training.rate
        written = {"record": record, "watch": watch.note}
        folder.write(f"trained-{len(restarts)}.json", written)
        return network, record, watch, restarts


def _other(found: _Found) -> str:
    return (
        f"Give a lower rate (--set training.rate={found.recipe.training.rate / 64:g}), or another "
        "--pretext: vicreg and simclr keep records apart by design."
    )


def _timed(
    fit: Generator[Progress, None, tuple[Network, dict[str, Any]]],
) -> Generator[Progress, None, tuple[Network, dict[str, Any]]]:
    """The same, each line with the time left."""
    began, first = time.monotonic(), None
    while True:
        try:
            line = next(fit)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        now = time.monotonic()
        if first is None:
            first, began = line.done, now
        taken = line.done - first
        left = (now - began) / taken * (line.total - line.done) if taken else None
        told = {k: v for k, v in line.figures.items() if k == "neighbours"}
        step = f"step {line.done:.0f} of {line.total:.0f}"
        yield Progress(line.stage, line.done, line.total, left, told, step)


def _affordable(found: _Found, each: float | None, folder: RunFolder) -> int:
    """Steps a fold of the trained starts."""
    budget = Budget.parse(found.recipe.budget)
    if budget.seconds is None or each is None:
        return max(20, min(300, (budget.steps or 1)))
    left = budget.seconds * _COMPARE - folder.elapsed
    # Two starts are trained on five folds; a supervised step is a part of a pretraining step.
    return int(max(10, min(300, left / (10 * each * 0.5))))


def _features(found: _Found, encoder: Encoder, index: Index) -> np.ndarray[Any, Any]:
    return encode(encoder, found.arrays, index, found.front.views.plain)


def _mismatch(
    found: _Found, features: np.ndarray[Any, Any], encoder: Encoder
) -> dict[str, Any] | None:
    """How well the labelled records are told from others like those learnt from."""
    target = np.setdiff1d(found.labelled, found.problem.unlabelled)
    apart = separability(_features(found, encoder, target[:_KEPT]), features)
    if apart is None:
        return None
    return {"separability": round(apart, 4), "labelled": len(target), "seen": len(features)}


def _sentence(story: dict[str, Any]) -> str:
    """The finding, in one line."""
    seen = count(story["seen"]["records"])
    name, steps = story["pretext"]["name"], count(story["training"]["steps"])
    done = f"{name} learnt from {seen} records in {steps} steps."
    rows = {row["start"]: row for row in (story["comparison"] or {}).get("rows", [])}
    if not rows:
        return done + " There are too few labels to say what that is worth."
    tuned, frozen = rows["tuned, self-supervised"], rows["frozen, self-supervised"]
    best = max((tuned, frozen), key=lambda row: row["accuracy"]["value"])
    gain = best["difference"]
    way = "frozen" if best is frozen else "tuned"
    told = f"{points(gain['value'])} points ({span(gain['low'], gain['high'])}) "
    told += f"over training from scratch, {way}"
    others = {n: r for n, r in rows.items() if r not in (tuned, frozen, rows[SCRATCH])}
    ahead = max(others, key=lambda name: others[name]["accuracy"]["value"])
    if others[ahead]["accuracy"]["value"] > best["accuracy"]["value"]:
        share = percent(others[ahead]["accuracy"]["value"])
        told += f". Right more often here: {ahead}, {share}"
    if gain["low"] > 0 and best["p_value"] < _SURE:
        return f"{done} It helped: {told}."
    if gain["high"] < 0:
        return f"{done} It did not help: {told}."
    return f"{done} Not shown to help: {told}."
