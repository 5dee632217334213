"""A fit as a RayJob of KubeRay: for clusters whose work is queued and billed by Ray.

Leaven does not train over several nodes: the cluster of the job is one head, which runs the fit and
goes with it. KubeRay starts Ray in the container, so the image has Ray, and no command stands here.
"""

from __future__ import annotations

import shlex
from typing import Any

from leaven.operate.kubernetes.plan import Plan, Training
from leaven.operate.kubernetes.pods import container, labels, meta, pod
from leaven.operate.kubernetes.training import words_of

__all__ = ["DASHBOARD", "OPERATOR", "RAY", "ray_job"]

RAY = "ray"
#: Where the operator and its submitter ask how the job stands.
DASHBOARD = 8265
#: The labels of the operator's pods, as its chart has them.
OPERATOR = {"app.kubernetes.io/name": "kuberay-operator"}
_KEPT, _RETRIES = 3600, 3  # seconds that the job can be looked at; new clusters after a failure


def ray_job(plan: Plan, asked: Training) -> dict[str, Any]:
    """One fit with the recipe's seed; after an eviction the next try goes on with its run."""
    # The words go through a shell: users' stay words there.
    words = shlex.join(["leaven", *words_of(asked, str)])
    port = {"name": "dashboard", "containerPort": DASHBOARD, "protocol": "TCP"}
    head = container(
        plan, "ray-head", [], cpu=asked.cpu, memory=asked.memory, writes=True,
        more={"image": asked.ray, "ports": [port]},
    )  # fmt: skip
    del head["command"], head["args"]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": meta(plan, RAY),
        "spec": {
            "entrypoint": words,
            "backoffLimit": _RETRIES,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": _KEPT,
            "rayClusterSpec": {
                "headGroupSpec": {
                    "rayStartParams": {"dashboard-host": "0.0.0.0"},  # noqa: S104 - of the pod
                    "template": {
                        "metadata": {"labels": labels(plan, RAY)},
                        "spec": pod(plan, head),
                    },
                }
            },
        },
    }
