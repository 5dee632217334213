"""The verbs. The command line, and later the service, call these and nothing below them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leaven.core.progress import Listener, Progress
from leaven.core.recipe import Recipe
from leaven.data.dataset import Dataset
from leaven.data.given import given, given_labelled_or_not, given_with_answers
from leaven.evaluate.run import Run
from leaven.listing import choices, encoders, methods, pretexts

if TYPE_CHECKING:
    from leaven.evaluate.pretraining import Pretraining
    from leaven.evaluate.scored import Predictions
    from leaven.operate.costs.prices import Prices

__all__ = [
    "Run",
    "check",
    "choices",
    "compare",
    "curve",
    "distil",
    "encoders",
    "fit",
    "methods",
    "predict",
    "pretexts",
    "pretrain",
    "report",
]


def check(
    data: Any,
    *,
    label: str | bool | None = None,
    modality: str | None = None,
    id: str | None = None,
    group: str | None = None,
    time: str | None = None,
    audit: str | None = None,
    labels: str | None = None,
    progress: Listener | None = None,
) -> dict[str, Any]:
    """What the data is, what is wrong with it, and whether unlabelled records can help.

    `data` is a path or whatever `fit` takes. Returns `dataset`, `findings` and `advice`.
    """
    from leaven.data.checks import check as find
    from leaven.data.modality import MODALITIES
    from leaven.evaluate.story import dataset_story
    from leaven.learn.assumptions import advise

    tell = progress or (lambda _: None)
    tell(Progress("reading the records"))
    dataset = given(
        data,
        label=label,
        modality=modality,
        id=id,
        group=group,
        time=time,
        audit=audit,
        labels=labels,
    )
    spec = MODALITIES[dataset.modality].describe(dataset)
    tell(Progress("decoding the records"))
    arrays, rejected = MODALITIES[dataset.modality].decode(dataset, spec)
    if rejected:
        bad = np.array([position for position, _, _ in rejected])
        arrays = arrays.take(np.setdiff1d(np.arange(len(dataset)), bad))
        dataset = dataset.reject(bad, [(reason, detail) for _, reason, detail in rejected])
    tell(Progress("checking the data"))
    findings = find(dataset, arrays)  # those made while reading are among them
    told = dataset_story(dataset, findings)
    advice = asdict(advise(dataset, arrays, spec))
    return {"dataset": told, "findings": told["findings"], "advice": advice}


def fit(
    data: Any,
    *,
    label: str | None = None,
    modality: str | None = None,
    id: str | None = None,
    group: str | None = None,
    time: str | None = None,
    audit: str | None = None,
    labels: str | None = None,
    answers: str | Path | None = None,
    rules: str | Path | None = None,
    method: str | None = None,
    encoder: str | None = None,
    budget: str | None = None,
    seed: int | None = None,
    pretext: str | None = None,
    rewrite: str | Callable[[list[str]], list[str]] | None = None,
    shares: Mapping[str, float] | None = None,
    recipe: str | Path | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    tune: bool = False,
    cpu_hours: float | None = None,
    memory: float | None = None,
    money: float | None = None,
    prices: str | Path | Prices | None = None,
    metrics: str | Path | None = None,
    out: str | Path = "runs",
    fresh: bool = False,
    progress: Listener | None = None,
) -> Run:
    """Train with and without the unlabelled records, judge both, keep the better one.

    Parameters
    ----------
    data : a path (see `Dataset.read`), a Dataset, or a data frame.
    label, modality, id, group, time, labels : how to read a path or a frame.
    audit : a column of true labels of records that are to be treated as unlabelled; it is read
        only to say how right their pseudo-labels are.
    answers : a table of labels that were given since, as `leaven label export` writes it; they
        count before those of the data.
    rules : a TOML file of rules (see `leaven.label.rules.file`). What they say of the unlabelled
        records is learnt as soft labels whose origin is `rule`; no figure takes them for labels.
    method, encoder, budget, seed : override the recipe's; `method` defaults to `auto`. `encoder`
        may be the folder of a pretraining, see `pretrain`.
    pretext : pretrain the encoder on this data first, by a pretext of `pretexts` or by `auto`; the
        supervised model it is compared with begins from nothing.
    rewrite : texts said otherwise, for strong views: `context` (words that stand in the same
        context elsewhere), the folder of a masked language model (extra `text`), MODULE:FUNCTION,
        or a function from texts to as many texts, such as a back-translation.
    shares : how frequent the classes are among all records, where that is known, as
        `{"fraud": 0.04}`; the classes that are not named have the rest. Predictions are made for
        them, where labels drawn evenly would have all classes taken for equally frequent.
    recipe : a Recipe or the path of its TOML file.
    settings : changes of the method's objective by name, `{"accept": "AtLeast(0.8)"}` (see
        `choices`), and of the training, `{"training.rate": 0.001}`; they override the recipe's.
    tune : search for the settings of a blend's members within the budget (extra `tune`), for both
        models alike. The search sees labelled records that judge neither.
    cpu_hours, memory, money : caps: hours of CPU, gigabytes, and what both CPU and GPU may cost.
        A fit that reaches one ends with a CapError where its work is kept; the same call with a
        higher one goes on.
    prices : a TOML file with the table `[costs]`, by which money is reckoned, or these prices; by
        default `leaven.toml`.
    metrics : a folder for files that Prometheus reads by node-exporter, written while it goes on
        and with what it came to, see `leaven.operate.metrics.fitting`.
    out : the folder in which the run's folder is made; its name follows from data and recipe,
        so the same call goes on with a run that was cut off, and returns one that is done.
    fresh : begin anew even so.
    progress : is called with each Progress.

    Returns the Run. Raises LeavenError for data or settings that cannot be used, CapError where a
    cap is reached.
    """
    from leaven.core.errors import DataError, SettingError
    from leaven.evaluate.made import make_run
    from leaven.evaluate.shares import given_shares
    from leaven.label.rules.votes import with_rules
    from leaven.learn.rewriters import name_of
    from leaven.operate.costs.prices import Prices

    caps = None
    if any(cap is not None for cap in (cpu_hours, memory, money)):
        known = prices if isinstance(prices, Prices) else Prices.read(prices)
        caps = known.caps(cpu_hours, memory, money)
    dataset = given_with_answers(
        data,
        answers,
        label=label,
        modality=modality,
        id=id,
        group=group,
        time=time,
        audit=audit,
        labels=labels,
    )
    if not len(dataset.labelled):
        raise DataError(
            f"'{dataset.name}' has no labelled record. Label at least two of each class."
        )
    if len(dataset.classes) < 2:
        raise DataError(
            f"'{dataset.name}' has labels of one class only ({dataset.classes[0]!r}). "
            "Label some records of another class."
        )
    if rules is not None:
        dataset = with_rules(dataset, rules)
    base = _recipe(recipe)
    if rewrite is None and ":" in base.rewrite:
        wanted = "given with the call or as --rewrite where it is a function"
        raise SettingError("rewrite", f"{wanted}, for a recipe runs no code", base.rewrite)
    said = None if rewrite is None else name_of(rewrite)
    asked: dict[str, Any] = {"method": method, "encoder": encoder, "budget": budget, "seed": seed}
    asked |= {"rewrite": said, "pretext": pretext, "tune": tune or None, "shares": shares}
    whole = _changed(base, asked, settings)
    if whole.shares:
        given_shares(whole.shares, dataset.classes)
    reading = {
        "label": label, "modality": modality, "id": id, "group": group, "time": time,
        "audit": audit, "labels": labels, "answers": answers, "rules": rules,
    }  # fmt: skip
    command = _command("fit", dataset, reading, whole, out)
    listen = progress or (lambda _: None)
    function = rewrite if callable(rewrite) else None
    names = {name: str(value) for name, value in reading.items() if value is not None}
    made = (dataset, whole, Path(out), command, fresh)
    if metrics is None:
        return make_run(*made, listen, function, names, caps)
    from leaven.operate.metrics.fitting import FitFiles

    with FitFiles(Path(metrics), dataset.name, listen) as files:
        run = make_run(*made, files.tell, function, names, caps)
        files.done(run.story)
    return run


def pretrain(
    data: Any,
    *,
    label: str | bool | None = None,
    modality: str | None = None,
    id: str | None = None,
    group: str | None = None,
    time: str | None = None,
    labels: str | None = None,
    pretext: str | None = None,
    encoder: str | None = None,
    budget: str | None = None,
    seed: int | None = None,
    against: Sequence[str] = (),
    recipe: str | Path | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path = "runs",
    fresh: bool = False,
    progress: Listener | None = None,
) -> Pretraining:
    """Train an encoder on records without using their labels; say what that is worth.

    Parameters
    ----------
    data, label, modality, id, group, time, labels : as for `fit`. Labels, where there are some,
        only say what the features are worth, on records outside the holdout. `label=False` says
        that no column is one.
    pretext : one that `pretexts` lists; `auto` (if not given) takes the modality's usual one.
    encoder, budget, seed, recipe, out, fresh : as for `fit`.
    against : frozen encoders, by name or folder, that the comparison of starts holds it against.
    settings : changes of the pretext's objective and of the training by name.
    progress : is called with each Progress.

    Returns the Pretraining, whose folder is an `encoder` for `fit`. A training that collapses is
    begun again with mended settings, which its story tells; RunError where that does not help.
    """
    from leaven.evaluate.pretrained import make_pretraining

    reading = {
        "label": label, "modality": modality, "id": id, "group": group, "time": time,
        "labels": labels,
    }  # fmt: skip
    dataset = given_labelled_or_not(data, reading)
    asked = {"pretext": pretext, "encoder": encoder, "budget": budget, "seed": seed}
    whole = _changed(_recipe(recipe), asked, settings)
    command = _command("pretrain", dataset, reading, whole, out)
    command += "".join(f" --against {shlex.quote(name)}" for name in against)
    listen = progress or (lambda _: None)
    return make_pretraining(dataset, whole, Path(out), command, fresh, listen, tuple(against))


def predict(
    run: Run | str | Path,
    data: Any,
    *,
    out: str | Path | None = None,
    label: str | None = None,
    compared: bool = False,
    decide: str = "accuracy",
    distilled: bool = False,
    progress: Listener | None = None,
) -> Predictions:
    """Score new records; `.table` has `id`, `prediction`, `confidence` and a `p_<class>` a class.

    Written to `out` as CSV, Parquet or JSON Lines by its ending. Records that cannot be read are
    listed in `<out>.quarantine.parquet`, and have no row in the table. Where `label` names the
    column of the true labels, `.metrics` says how right the predictions are. With `compared` the
    model is asked that the run did not keep, with `distilled` the small one of `distil`. `decide`
    is `accuracy` (as many right as can be, the classes being as frequent as the run estimated) or
    `balanced` (as much found of each class as can be).
    """
    from leaven.evaluate.scored import score

    (progress or (lambda _: None))(Progress("scoring the records"))
    opened = run if isinstance(run, Run) else Run.load(run)
    file = None if out is None else Path(out)
    return score(opened, data, label, compared, decide, file, distilled)


def compare(runs: Sequence[Run | str | Path]) -> dict[str, Any]:
    """Several runs side by side, and paired where they were judged on the same records."""
    from leaven.evaluate.side_by_side import side_by_side

    return side_by_side([run if isinstance(run, Run) else Run.load(run) for run in runs])


def curve(
    data: Any,
    *,
    label: str | None = None,
    modality: str | None = None,
    id: str | None = None,
    group: str | None = None,
    labels: str | None = None,
    method: str = "auto",
    encoder: str = "",
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    seconds: float = 20.0,
    ahead: int = 50,
    worth: float = 0.005,
    progress: Listener | None = None,
) -> dict[str, Any]:
    """Accuracy by number of labels, what the next `ahead` labels are worth, and when to stop.

    Parameters
    ----------
    data, label, modality, id, group, labels : as for `fit`.
    method, settings, encoder : a method on frozen features, `auto` for a quick one.
    seconds : what the measuring may take, roughly.
    ahead : how many labels to look ahead.
    worth : the gain in accuracy (a share) that makes them worth their labour.

    Returns the fields of `leaven.evaluate.curves.Growth` as plain values.
    """
    from leaven.evaluate.growing import grow_dataset

    (progress or (lambda _: None))(Progress("measuring learning curves"))
    dataset = given(data, label=label, modality=modality, id=id, group=group, labels=labels)
    growth = grow_dataset(
        dataset,
        method,
        encoder=encoder,
        settings=settings,
        seed=seed,
        seconds=seconds,
        ahead=ahead,
        worth=worth,
    )
    return asdict(growth)


def distil(
    run: Run | str | Path,
    data: Any,
    *,
    label: str | None = None,
    seed: int = 0,
    fresh: bool = False,
    progress: Listener | None = None,
) -> dict[str, Any]:
    """Make a small model that says what the run's model says; state what it loses.

    `data` are records as for `predict`, at least 100 that did not teach the run's model; `label`
    names true labels, which only judge. `seed` rules the split and the training. What was made
    before is returned, with `new` false, unless `fresh`. Returns the figures, `sentence` first
    among them; `predict` asks the model with `distilled`, `Run.distilled` gives it.
    """
    from leaven.evaluate.distilled import make_distilled

    listen = progress or (lambda _: None)
    listen(Progress("reading the records"))
    opened = run if isinstance(run, Run) else Run.load(run)
    dataset = opened.dataset(data, label)
    made = make_distilled(opened, dataset, seed=seed, fresh=fresh, listen=listen)
    return made.told | {"new": made.new}


def report(run: Run | str | Path, *, out: str | Path | None = None) -> Path:
    """Write a run's report anew; returns where."""
    if isinstance(run, Run):
        return run.report(out)
    if (Path(run) / "pretraining.json").is_file():
        from leaven.evaluate.pretraining import Pretraining

        return Pretraining.load(run).report(out)
    return Run.load(run).report(out)


def _recipe(recipe: str | Path | Recipe | None) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    return Recipe.read(recipe) if recipe else Recipe()


def _changed(base: Recipe, asked: dict[str, Any], settings: Mapping[str, Any] | None) -> Recipe:
    """The recipe with what was asked for in its place."""
    values = base.model_dump() | {k: v for k, v in asked.items() if v is not None}
    for name, value in (settings or {}).items():
        table = "training" if name.startswith("training.") else "objective"
        values[table][name.removeprefix("training.")] = value
    return Recipe.build(values)


def _command(
    verb: str, dataset: Dataset, reading: dict[str, Any], recipe: Recipe, out: str | Path
) -> str:
    """The command line that makes the same run."""
    said = reading | {
        "method": recipe.method if verb == "fit" else "",
        "pretext": recipe.pretext,
        "encoder": recipe.encoder,
        "budget": recipe.budget,
        "seed": recipe.seed,
        "rewrite": recipe.rewrite,
        "out": out,
    }
    parts = ["leaven", verb, dataset.source or "DATA"]
    for name, value in said.items():
        if value not in (None, "", False):
            parts += [f"--{name}", str(value)]
    if verb == "fit" and recipe.tune:
        parts.append("--tune")
    for name, share in recipe.shares.items():
        parts += ["--share", f"{name}={share}"]
    training = recipe.training.model_dump(exclude_defaults=True)
    changed = recipe.objective | {f"training.{name}": value for name, value in training.items()}
    for name, setting in changed.items():
        for one in setting if isinstance(setting, list) else [setting]:
            parts += ["--set", f"{name}={one}"]
    return shlex.join(parts)
