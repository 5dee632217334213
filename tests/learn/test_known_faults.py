"""Faults that toolkits of the field have shipped, put into this one: each must be noticed.

| fault | noticed by |
|---|---|
| a consistency loss that is always zero | `test_contracts.py`: compared with itself, detached |
| a loss without a gradient | `test_contracts.py`: no gradient |
| an encoder that no optimiser updates | here |
| hidden labels are read | `test_contracts.py`: reads hidden labels |
| the model chosen, or calibrated, by the records that judge it | here |
| 40 % corruption asked, another share done | here; `tests/data/test_views_table.py` for all rates |
| resumed with the first records again | here |
| resumed with the first random numbers again | here |
| resumed from the start | `test_contracts.py`: starts anew |
| one parameter of a view for a whole batch | `test_contracts.py`: one parameter … batch |
| mean over the accepted records instead of over all | here |
| coverage of the accepted records only | here |

A check stands beside the fault that shows it can fail: the fault is put into the product's own
code while it runs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from leaven import api
from leaven.data.arrays import Batch
from leaven.data.dataset import Dataset
from leaven.data.modalities import tabular
from leaven.data.modality import MODALITIES
from leaven.data.splits import split
from leaven.data.views import table_ops
from leaven.data.views.table_ops import SwapCells
from leaven.evaluate import experiment
from leaven.evaluate.experiment import Experiment
from leaven.evaluate.pseudo_log import PseudoLog
from leaven.learn import streams, train
from leaven.learn.consistency import Consistency
from leaven.learn.contracts import METHOD_CHECKS, BrokenContract, check_method
from leaven.learn.method import METHODS
from leaven.learn.network import Network
from leaven.learn.objective import Draw, Loss, Moment, PseudoLabels
from leaven.learn.task import TASKS
from leaven.learn.train import LoopMethod


def check(name: str) -> None:
    """One contract check, of FixMatch; `test_contracts.py` asks it without a fault."""
    (one,) = [check for check in METHOD_CHECKS if check.name == name]
    check_method("fixmatch", [one])


# --- an encoder that is never updated -------------------------------------------------------


def test_an_encoder_without_an_optimiser_is_noticed(monkeypatch: pytest.MonkeyPatch):
    groups = train._groups

    def head_only(trained: list[nn.Module], *settings: Any) -> Any:
        return groups([m.head if isinstance(m, Network) else m for m in trained], *settings)

    monkeypatch.setattr(train, "_groups", head_only)
    with pytest.raises(BrokenContract, match="leaves these tensors as they were") as broken:
        check("trains every tensor")
    assert "encoder.body.1.weight" in str(broken.value)
    assert "head" not in str(broken.value).partition("were:")[2]


# --- what judges neither chooses nor calibrates ---------------------------------------------


@pytest.fixture
def records() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Vectors of three classes that overlap, 540 of them labelled: enough for a holdout."""
    rng = np.random.default_rng(0)
    y = np.arange(620) % 3
    x = (rng.normal(size=(620, 6)) + 1.2 * np.eye(6)[y]).astype(np.float32)
    y[540:] = -1
    return x, y


def found_with_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, x: Any, y: Any, part: Callable[[Any], Any]
) -> tuple[Experiment, Experiment, Any]:
    """Two experiments that differ in the labels of the judging records alone, and these.

    `part` names them within the split, which is the first one's in both.
    """
    drawn = split(Dataset.from_arrays(x, y), seed=0)
    judging = part(drawn)
    assert len(judging) > 20
    wrong = y.copy()
    wrong[judging] = (y[judging] + 1) % 3
    found: list[Experiment] = []
    judge = experiment._judge

    def watched(one: Experiment, *others: Any) -> None:
        judge(one, *others)
        found.append(one)

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "split", lambda dataset, **how: drawn)
        patch.setattr(experiment, "_judge", watched)
        for labels in (y, wrong):
            dataset = Dataset.from_arrays(x, labels)
            api.fit(dataset, method="fixmatch", budget="8steps", out=tmp_path)
    assert not np.array_equal(found[0].targets, found[1].targets)
    return found[0], found[1], judging


def same_on(one: Experiment, other: Experiment, judging: Any, calibrated: bool) -> bool:
    """Whether both experiments say the same of the judging records, with both arms."""
    rows = np.isin(one.rows, judging)
    kinds = ["uncalibrated", "probabilities"] if calibrated else ["uncalibrated"]
    return all(
        np.array_equal(getattr(one, kind)[arm][rows], getattr(other, kind)[arm][rows])
        for kind in kinds
        for arm in ("supervised", "fixmatch")
    )


def test_labels_of_the_holdout_change_figures_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, records: Any
):
    one, other, judging = found_with_both(monkeypatch, tmp_path, *records, lambda s: s.holdout)
    assert same_on(one, other, judging, calibrated=True)
    for arm, predictor in one.predictors.items():
        twin = other.predictors[arm]
        assert predictor.temperature == twin.temperature
        pairs = zip(
            predictor.network.state_dict().values(), twin.network.state_dict().values(), strict=True
        )
        assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_labels_of_a_fold_do_not_reach_the_fit_that_it_judges(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, records: Any
):
    x, y = records
    y[120:] = -1
    one, other, judging = found_with_both(monkeypatch, tmp_path, x, y, lambda s: s.folds[1])
    assert same_on(one, other, judging, calibrated=False)
    rest = np.setdiff1d(one.rows, judging)
    assert not same_on(one, other, rest, calibrated=False), "the other fits learn from them"


def _best_on_test(stage: Any, problem: Any, *rest: Any) -> Generator[Any, None, Any]:
    """A fit of which several states are tried on the records that judge, and the best kept."""
    network, record = yield from _fit_stage(stage, problem, *rest)
    if not len(stage.judged):
        return network, record
    tried = [network]
    for places in (1, 2):
        other = copy.deepcopy(network)
        for tensor in other.head.parameters():
            tensor.data.copy_(tensor.data.roll(places, 0))
        tried.append(other)
    truth = problem.targets[stage.judged]

    def right(one: Network) -> float:
        said = one.logits(problem.arrays, stage.judged).argmax(1)
        return float((said == truth).mean())

    return max(tried, key=right), record


_fit_stage = experiment.fit_stage


@pytest.mark.parametrize("rule", ["holdout", "folds"])
def test_the_best_state_on_the_test_records_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, records: Any, rule: str
):
    x, y = records
    if rule == "folds":
        y[120:] = -1
    monkeypatch.setattr(experiment, "fit_stage", _best_on_test)
    judging = {"holdout": lambda s: s.holdout, "folds": lambda s: s.folds[1]}[rule]
    one, other, held = found_with_both(monkeypatch, tmp_path, x, y, judging)
    assert not same_on(one, other, held, calibrated=False)


def test_a_temperature_of_the_test_records_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, records: Any
):
    judge = experiment._judge

    def on_itself(found: Experiment, *rest: Any) -> None:
        found.split = replace(found.split, calibration=found.split.holdout)
        judge(found, *rest)

    monkeypatch.setattr(experiment, "_judge", on_itself)
    one, other, held = found_with_both(monkeypatch, tmp_path, *records, lambda s: s.holdout)
    assert same_on(one, other, held, calibrated=False)
    assert not same_on(one, other, held, calibrated=True)


# --- 40 % is 40 % of the cells --------------------------------------------------------------


def corrupted_share(monkeypatch: pytest.MonkeyPatch, rate: float) -> float:
    """The share of a table's cells that the strong view takes from another row.

    All values differ, so that each exchange shows; a column of texts is one cell a row.
    """
    n = 400
    words = [f"word{i} and more{i}" for i in range(n)]
    table = pa.table(
        {
            "a": np.arange(n) + 0.5,
            "b": np.arange(n) * 2.0 + 0.25,
            "note": words,
            "place": [f"p{i}" for i in range(n)],
        }
    )
    views = MODALITIES["tabular"]
    dataset = Dataset.from_frame(table, label=False, modality="tabular")
    kinds = {"note": "text", "place": "categorical"}
    columns = tuple(replace(c, kind=kinds.get(c.name, "numeric")) for c in dataset.columns)
    dataset = replace(dataset, columns=columns)
    spec = views.describe(dataset)
    arrays, _ = views.decode(dataset, spec)
    batch = arrays.batch(np.arange(n))
    monkeypatch.setattr(tabular, "STRONG", SwapCells(rate, rate))
    changed = views.strong(batch, spec, torch.Generator().manual_seed(0))
    numbers = batch["numeric"][:, :2] != changed["numeric"][:, :2]
    text = (batch["numeric"][:, 2:] != changed["numeric"][:, 2:]).any(1, keepdim=True)
    codes = batch["codes"] != changed["codes"]
    return float(torch.cat([numbers, text, codes], 1).float().mean())


def test_of_40_percent_40_are_corrupted(monkeypatch: pytest.MonkeyPatch):
    assert corrupted_share(monkeypatch, 0.4) == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("fault", ["a rate applied twice", "a rate from zero on"])
def test_another_share_than_asked_is_noticed(monkeypatch: pytest.MonkeyPatch, fault: str):
    real = table_ops.uniform

    def twice(shape: Any, rng: torch.Generator, *span: float) -> Tensor:
        drawn = real(shape, rng, *span)
        return drawn if span else torch.maximum(drawn, real(shape, rng))

    def from_zero(shape: Any, rng: torch.Generator, *span: float) -> Tensor:
        return real(shape, rng, 0.0, *span[1:]) if span else real(shape, rng)

    faulty = {"a rate applied twice": twice, "a rate from zero on": from_zero}[fault]
    monkeypatch.setattr(table_ops, "uniform", faulty)
    assert corrupted_share(monkeypatch, 0.4) != pytest.approx(0.4, abs=0.03)


# --- resumed with what the beginning drew ---------------------------------------------------


def test_random_numbers_that_begin_again_are_noticed(monkeypatch: pytest.MonkeyPatch):
    """A running generator that a checkpoint forgets, where a step's number should decide."""
    real, drawn = train._mix, [0]

    def running(seed: int, stream: int, step: int) -> int:
        drawn[0] = 0 if step < 0 else drawn[0] + 1
        return real(seed, stream, step if step < 0 else drawn[0])

    monkeypatch.setattr(train, "_mix", running)
    with pytest.raises(BrokenContract, match="stopped after step 1, it ends on other weights"):
        check("resumes exactly")


@pytest.mark.parametrize("stream", ["Labelled", "Unlabelled"])
def test_a_sampler_that_begins_again_is_noticed(monkeypatch: pytest.MonkeyPatch, stream: str):
    kind = getattr(streams, stream)
    real = kind.__call__

    def from_its_beginning(self: Any, step: int) -> Any:
        self.taken = getattr(self, "taken", -1) + 1
        return real(self, self.taken)

    monkeypatch.setattr(kind, "__call__", from_its_beginning)
    with pytest.raises(BrokenContract, match="stopped after step 1, it ends on other weights"):
        check("resumes exactly")


# --- the mean is over all records, and so is the coverage -----------------------------------


class _Ready(nn.Module):
    """A network whose outputs are the view itself."""

    def forward(self, batch: Batch, features: bool = False) -> Any:
        return (batch["logits"], batch["logits"]) if features else batch["logits"]


def fixmatch_of(sure: int, unsure: int) -> Loss:
    """FixMatch's loss of so many unlabelled records over and under the threshold."""
    method = METHODS["fixmatch"]
    assert isinstance(method, LoopMethod)
    weak = torch.cat([torch.tensor([[9.0, 0.0, 0.0]]).expand(sure, 3), torch.zeros(unsure, 3)])
    strong = torch.tensor([[1.0, 0.0, 0.0]]).expand(sure + unsure, 3)
    given = {"weak": [torch.zeros(2, 3), weak], "strong": [strong]}
    modality: Any = SimpleNamespace(
        weak=lambda *a: {"logits": given["weak"].pop(0)},
        strong=lambda *a: {"logits": given["strong"].pop(0)},
    )
    records = torch.arange(sure + unsure)
    draw = Draw(
        modality, {}, torch.Generator(), {}, torch.tensor([0, 1]), {}, torch.arange(2), records
    )
    network: Any = _Ready()
    return method.objective.loss(Moment(network, network, draw, TASKS["classification"], 0, 10))


def means_over_all() -> bool:
    """Whether rejected records make the term smaller."""
    few, many = fixmatch_of(10, 0), fixmatch_of(10, 30)
    cross = -torch.tensor([1.0, 0.0, 0.0]).log_softmax(0)[0]
    terms = [loss.terms["unlabelled"].item() for loss in (few, many)]
    return terms == pytest.approx([cross.item(), cross.item() / 4])


def coverage_of_all() -> bool:
    """Whether the coverage is the share of all records."""
    taught = fixmatch_of(10, 30).taught
    assert taught is not None
    log = PseudoLog(3)
    log.add(1, taught)
    return log.point(1, 1)["coverage"] == pytest.approx(0.25)


def test_rejected_records_count_in_the_mean_and_in_the_coverage():
    assert means_over_all()
    assert coverage_of_all()


def test_a_mean_over_the_accepted_is_noticed(monkeypatch: pytest.MonkeyPatch):
    real = Consistency._weights
    monkeypatch.setattr(
        Consistency, "_weights", lambda self, seen: (w := real(self, seen)) / w.mean()
    )
    assert not means_over_all()


def test_a_coverage_of_the_accepted_is_noticed(monkeypatch: pytest.MonkeyPatch):
    real = PseudoLog.add

    def of_accepted(self: PseudoLog, step: int, taught: PseudoLabels) -> None:
        kept = taught.weight > 0
        parts = (taught.records, taught.guess, taught.weight, taught.answers)
        real(self, step, PseudoLabels(*(part[kept] for part in parts)))

    monkeypatch.setattr(PseudoLog, "add", of_accepted)
    assert not coverage_of_all()
