"""Samples and how they are told: the text format of Prometheus, version 0.0.4.

See https://prometheus.io/docs/instrumenting/exposition_formats/. Written here rather than by a
library, because several workers tell what they counted as one, see `sharing`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from leaven.operate.metrics.catalogue import GAUGE, METRICS, Metric

__all__ = ["CONTENT_TYPE", "Sample", "exposition", "gauge", "merged", "number"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LABEL = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Sample(NamedTuple):
    """One number: the metric it is of, its line's name (a histogram has several), and its labels.

    `last` is the upper bound of a bucket, which is told as the label `le`; "" for other lines.
    """

    metric: str
    name: str
    labels: tuple[str, ...]
    last: str
    value: float


def gauge(metric: str, value: float, *labels: str) -> Sample:
    """A sample of a metric that has one line a series."""
    return Sample(metric, metric, labels, "", value)


def merged(own: Iterable[Sample], others: Iterable[tuple[Iterable[Sample], bool]]) -> list[Sample]:
    """What several processes counted, as one: the same series are added up.

    `others` says of each whether it still lives: of one that ended counts remain, gauges do not.
    """
    sums: dict[tuple[str, str, tuple[str, ...], str], float] = {}
    for samples, lives in ((own, True), *others):
        for metric, name, labels, last, value in samples:
            if lives or METRICS[metric].kind != GAUGE:
                key = (metric, name, labels, last)
                sums[key] = sums.get(key, 0.0) + value
    return [Sample(*key, value) for key, value in sums.items()]


def exposition(samples: Sequence[Sample]) -> str:
    """The text of samples: in the order of the catalogue, each metric with its help and type.

    >>> print(exposition([gauge("leaven_ready", 1, 'tick"ets')]), end="")
    # HELP leaven_ready Workers that have a model loaded.
    # TYPE leaven_ready gauge
    leaven_ready{model="tick\\"ets"} 1
    """
    by_metric: dict[str, list[Sample]] = {}
    for sample in samples:
        by_metric.setdefault(sample.metric, []).append(sample)
    lines = []
    for name, metric in METRICS.items():
        if name in by_metric:
            lines += [
                f"# HELP {name} {metric.help.translate(_HELP)}",
                f"# TYPE {name} {metric.kind}",
                *(_line(sample, metric) for sample in by_metric[name]),
            ]
    return "".join(f"{line}\n" for line in lines)


def _line(sample: Sample, metric: Metric) -> str:
    told: Mapping[str, str] = dict(zip(metric.labels, sample.labels, strict=True))
    if sample.last:
        told = {**told, "le": sample.last}
    labels = ",".join(f'{key}="{value.translate(_LABEL)}"' for key, value in told.items())
    return f"{sample.name}{{{labels}}} {number(sample.value)}"


def number(value: float) -> str:
    """A number as Prometheus reads it.

    >>> number(3.0), number(0.25), number(float("inf")), number(float("nan"))
    ('3', '0.25', '+Inf', 'NaN')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
