"""What trains: a Job of one fit a seed, and CronJobs that fit again and go on with the loop.

A Job is cut off and goes on: `leaven fit` finds the run's folder by data and recipe and continues
where it stopped, so a pod that was evicted costs what it did since its last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leaven.operate.kubernetes.plan import RUNS, Looping, Plan, Training
from leaven.operate.kubernetes.pods import STORE, container, labels, literal, meta, pod, secret

__all__ = ["DESK", "FIT", "LOOP", "desk", "fit", "fit_again", "loop", "words_of"]

FIT, LOOP, DESK = "fit", "loop", "desk"
_DAY = 86_400  # seconds
_RETRIES = 3


def fit(plan: Plan, asked: Training) -> dict[str, Any]:
    """Fits side by side, each with its number as seed."""
    words = [*words_of(asked, literal), "--seed", "$(JOB_COMPLETION_INDEX)"]
    spec = _job(plan, FIT, words, asked)
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
    job = _job(plan, FIT, words_of(asked, literal), asked)
    return _scheduled(plan, FIT, f"{plan.name}-{FIT}-again", asked.schedule, job)


def loop(plan: Plan, asked: Looping) -> dict[str, Any]:
    """The loop goes on by the schedule, and waits within the store: a call that finds nothing to do
    ends at once. Were two at it, one would."""
    words = ["loop", "run", f"--config={literal(asked.config)}", "--store", STORE]
    job = _job(plan, LOOP, words, asked)
    return _scheduled(plan, LOOP, f"{plan.name}-{LOOP}", asked.schedule, job)


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


def words_of(asked: Training, literal: Callable[[str], str]) -> list[str]:
    """The words of a fit; `literal` keeps those of users from being read as anything else."""
    words = ["fit", literal(asked.data), "--out", RUNS, "--budget", asked.budget]
    words += [f"--label={literal(asked.label)}"] if asked.label else []
    return words + ([f"--method={literal(asked.method)}"] if asked.method else [])


def _scheduled(
    plan: Plan, component: str, name: str, schedule: str, job: dict[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": meta(plan, component, name),
        "spec": {
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"metadata": {"labels": labels(plan, component)}, "spec": job},
        },
    }


def _job(plan: Plan, component: str, words: list[str], asked: Training | Looping) -> dict[str, Any]:
    one = container(plan, component, words, cpu=asked.cpu, memory=asked.memory, writes=True)
    evicted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "backoffLimit": _RETRIES,
        # Wrong input stays wrong: only what was evicted or killed is tried again.
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": component, "operator": "In", "values": [2]},
                    "onPodConditions": [],  # older versions want it said
                },
                {"action": "Ignore", "onPodConditions": [evicted]},
            ]
        },
        "template": {
            "metadata": {"labels": labels(plan, component)},
            "spec": {"restartPolicy": "Never", **pod(plan, one)},
        },
    }
