"""The verb for Kubernetes: manifests of a service, written to a folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from leaven.core.errors import SettingError

__all__ = ["k8s"]


def k8s(
    folder: str | Path,
    service: str,
    image: str,
    *,
    review: str | None = None,
    review_host: str | None = None,
    data: str | None = None,
    fit: dict[str, Any] | None = None,
    loop: str | None = None,
    loop_schedule: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Write the manifests of a service: kustomize bases, overlays, and a Dockerfile.

    Parameters
    ----------
    folder : bases in it are written anew, overlays only where there are none.
    review, review_host : the run or data in the volume that people are asked about, and the name
        by which its pages are reached; no pages without.
    data, fit : what is trained on, and settings of `Training`; nothing is trained without.
    loop, loop_schedule : the policy in the volume by which the loop goes on, and when; of `fit`
        `cpu` and `memory` count for it too.
    settings : of `leaven.operate.kubernetes.plan.Plan`.

    Returns `folder`, `name`, and the paths that were `written`, `kept` and `removed`. Raises
    SettingError for what cannot be used.
    """
    from leaven.operate.kubernetes.kustomize import write
    from leaven.operate.kubernetes.plan import Looping, Plan, Review, Training

    if (review is None) != (review_host is None):
        raise SettingError(
            "review_host", "given with what is reviewed, and only then", review_host,
            "Name both: --review /leaven/runs/RUN --review-host labels.example.org.",
        )  # fmt: skip
    asked = fit or {}
    size = {name: value for name, value in asked.items() if name in ("cpu", "memory")}
    if data is None and (asked if loop is None else asked.keys() - size.keys()):
        raise SettingError("data", "given where something is said of fits", None)
    if loop is None and loop_schedule is not None:
        raise SettingError("loop", "given where its schedule is", None)
    pages = Review(review, review_host) if review and review_host else None
    training = None if data is None else Training(data, **asked)
    when = {} if loop_schedule is None else {"schedule": loop_schedule}
    looping = None if loop is None else Looping(loop, **when, **size)
    plan = Plan(service, image, review=pages, training=training, looping=looping, **settings)
    return {"folder": str(folder), "name": plan.name} | asdict(write(plan, Path(folder)))
