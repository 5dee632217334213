"""What the log of predictions tells: requests that failed, were slow, or got no answer."""

from __future__ import annotations

from leaven.operate.objectives.indicator import INDICATORS, RequestIndicator
from leaven.store.prediction_tables import predictions

INDICATORS.add(
    "errors",
    RequestIndicator(
        "errors",
        "failed",
        "leaven releases {service}",
        0.999,
        failed=True,
    ),
)

INDICATORS.add(
    "latency",
    RequestIndicator(
        "latency",
        "took over {within}",
        "leaven releases {service}",
        0.99,
        bad=lambda within: predictions.c.seconds > within,
        within=0.5,
    ),
)

INDICATORS.add(
    "abstaining",
    RequestIndicator(
        "abstaining",
        "were too unsure to answer",
        "leaven slo status {service}",
        0.8,
        bad=lambda _: predictions.c.route == "review",
    ),
)
