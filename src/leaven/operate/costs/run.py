"""What one run cost, in seconds, bytes and labels, in money where there are prices, and bought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaven.core.wording import seconds
from leaven.evaluate.folder import folder_bytes
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.lineage import FILE as LABELS
from leaven.evaluate.tables import read_parquet
from leaven.operate.costs.bought import PerPoint, per_point
from leaven.operate.costs.prices import Prices

__all__ = ["RunCost", "computing", "run_cost"]

#: Outcomes of a verdict by which the method ships, and not its baseline.
_SHIPPED = ("better", "likely")


@dataclass(frozen=True)
class RunCost:
    """What a run took, what that cost, and what it bought; None for what is not known.

    Attributes
    ----------
    arms : CPU seconds of the fits of each side of the comparison.
    given : labels that came with the data; `answers` those that people gave, by who did.
    compute, labels : money, of CPU and GPU, and of labels; `total` is both.
    storage : money of a month.
    gain : accuracy of what ships over the supervised baseline; None where that ships itself.
    point : what a point of the gain cost in computing. Labels taught the baseline as well.
    """

    run: str
    folder: str
    created: str
    seconds: float | None
    cpu_seconds: float | None
    gpu_seconds: float | None
    peak_bytes: int | None
    bytes: int | None
    arms: Mapping[str, float]
    given: int
    answers: Mapping[str, int]
    compute: float | None
    labels: float | None
    total: float | None
    storage: float | None
    accuracy: Estimate | None
    gain: Estimate | None
    point: PerPoint

    @property
    def bought(self) -> int:
        """Answers of people."""
        return sum(self.answers.values())


def run_cost(run: str, folder: Path, told: Mapping[str, Any], prices: Prices) -> RunCost:
    """What a run cost.

    Parameters
    ----------
    folder : where it is, or was: what only its files tell is then not known.
    told : what is told of it: its story, or what the registry keeps of that.
    """
    cost, verdict = told["cost"], told["verdict"]
    cpu, gpu = cost.get("cpu_seconds"), cost.get("gpu_seconds")
    given, answers = _labels(folder, told)
    compute = None if cpu is None else prices.compute(cpu, gpu or 0.0)
    labels = prices.labels(answers, given)
    size = folder_bytes(folder) if folder.is_dir() else cost.get("bytes")
    shipped = verdict["outcome"] in _SHIPPED
    gain = Estimate(**verdict["difference"]) if shipped else None
    accuracy = told["metrics"].get("accuracy")
    point = PerPoint(None, None, None, f"cannot be told. {verdict['sentence']}")
    if shipped:
        over = f"the {verdict['baseline']} baseline"
        point = per_point(*computing(prices, cpu, gpu), gain, over)
    return RunCost(
        run, str(folder), str(told.get("run", {}).get("created", "")), cost.get("seconds"), cpu,
        gpu, cost.get("peak_bytes"), size, cost.get("arms", {}), given, answers, compute, labels,
        None if compute is None or labels is None else compute + labels,
        None if size is None else prices.storage(size),
        None if accuracy is None else Estimate(**accuracy), gain, point,
    )  # fmt: skip


def computing(
    prices: Prices, cpu_seconds: float | None, gpu_seconds: float | None
) -> tuple[float | None, Callable[[float], str]]:
    """What computing cost, and how that is said: in money, or in CPU seconds where it has no
    price."""
    if prices.cpu_hour is None:
        return cpu_seconds, lambda amount: f"{seconds(amount)} of CPU"
    if cpu_seconds is None:
        return None, prices.said
    return prices.compute(cpu_seconds, gpu_seconds or 0.0), prices.said


def _labels(folder: Path, told: Mapping[str, Any]) -> tuple[int, Counter[str]]:
    """Labels that came with the data, and answers of people by who gave them."""
    answers: Counter[str] = Counter()
    if not (folder / LABELS).is_file():
        origins = told.get("labels", {})
        people = origins.get("person", 0)
        return told["dataset"]["labelled"] - people, Counter({"": people} if people else {})
    table = read_parquet(folder / LABELS, ["origin", "by"])
    origins = Counter(table["origin"].to_pylist())
    for origin, by in zip(table["origin"].to_pylist(), table["by"].to_pylist(), strict=True):
        if origin == "person":
            answers.update(by.split(", "))
    return origins["given"], answers
