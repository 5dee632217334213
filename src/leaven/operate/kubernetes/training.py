"""What trains: a Job of one fit a seed, and a CronJob that fits again by a schedule.

A Job is cut off and goes on: `leaven fit` finds the run's folder by data and recipe and continues
where it stopped, so a pod that was evicted costs what it did since its last checkpoint.
"""

from __future__ import annotations

from typing import Any

from leaven.operate.kubernetes.plan import RUNS, Plan, Training
from leaven.operate.kubernetes.pods import container, labels, literal, meta, pod, secret

__all__ = ["DESK", "FIT", "desk", "fit", "fit_again"]

FIT, DESK = "fit", "desk"
_DAY = 86_400  # seconds
_RETRIES = 3


def fit(plan: Plan, asked: Training) -> dict[str, Any]:
    """Fits side by side, each with its number as seed."""
    spec = _job(plan, asked, ["--seed", "$(JOB_COMPLETION_INDEX)"])
    several = {
        "completionMode": "Indexed",
        "completions": asked.seeds,
        "parallelism": asked.seeds,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta(plan, FIT),
        "spec": several | spec | {"ttlSecondsAfterFinished": 7 * _DAY},
    }


def fit_again(plan: Plan, asked: Training) -> dict[str, Any]:
    """One fit by the schedule, never two at once. Data that did not change cost nothing."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": meta(plan, FIT, f"{plan.name}-{FIT}-again"),
        "spec": {
            "schedule": asked.schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "metadata": {"labels": labels(plan, FIT)},
                "spec": _job(plan, asked, []),
            },
        },
    }


def desk(plan: Plan) -> dict[str, Any]:
    """A pod in which a person gives commands for a day: data in, users, releases, rollbacks."""
    one = container(
        plan, DESK, ["infinity"], program="sleep", cpu="100m", memory=plan.memory, writes=True
    )
    if plan.signed:
        one["env"].append(secret(plan, "LEAVEN_SIGNING_KEY", "signing-key"))
    spec = {"restartPolicy": "Never", "activeDeadlineSeconds": _DAY, **pod(plan, one)}
    spec["terminationGracePeriodSeconds"] = 1  # `sleep` does not end by itself when it is told to
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(plan, DESK), "spec": spec}


def _job(plan: Plan, asked: Training, more: list[str]) -> dict[str, Any]:
    words = ["fit", literal(asked.data), "--out", RUNS, "--budget", asked.budget]
    words += [f"--label={literal(asked.label)}"] if asked.label else []
    words += [f"--method={literal(asked.method)}"] if asked.method else []
    one = container(plan, FIT, [*words, *more], cpu=asked.cpu, memory=asked.memory, writes=True)
    evicted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "backoffLimit": _RETRIES,
        # Wrong input stays wrong: only what was evicted or killed is tried again.
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": FIT, "operator": "In", "values": [2]},
                    "onPodConditions": [],  # older versions want it said
                },
                {"action": "Ignore", "onPodConditions": [evicted]},
            ]
        },
        "template": {
            "metadata": {"labels": labels(plan, FIT)},
            "spec": {"restartPolicy": "Never", **pod(plan, one)},
        },
    }
