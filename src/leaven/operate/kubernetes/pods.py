"""What all pods have in common: who they run as, what they may write, and where things stand."""

from __future__ import annotations

from typing import Any

from leaven.operate.kubernetes.plan import HOME, Plan

__all__ = [
    "EVERYWHERE",
    "STORE",
    "USER",
    "container",
    "labels",
    "literal",
    "meta",
    "pod",
    "secret",
    "selector",
]

#: The store's address in a command: Kubernetes puts in the variable of the container.
STORE = "$(LEAVEN_STORE)"
#: Where a server in a pod listens; the NetworkPolicy says who reaches it.
EVERYWHERE = "0.0.0.0"  # noqa: S104
#: Of whom the image's files are, and who owns the volume; see the Dockerfile.
USER = 10001
_CACHE = "/tmp"  # noqa: S108 - a volume of the pod alone


def selector(plan: Plan, component: str) -> dict[str, str]:
    """By what a part of the service is found."""
    return {
        "app.kubernetes.io/name": "leaven",
        "app.kubernetes.io/instance": plan.name,
        "app.kubernetes.io/component": component,
    }


def labels(plan: Plan, component: str) -> dict[str, str]:
    """The labels of a part of the service."""
    return selector(plan, component) | {"app.kubernetes.io/managed-by": "leaven-k8s"}


def meta(plan: Plan, component: str, name: str = "") -> dict[str, Any]:
    """The metadata of an object; it is named after service and part if not otherwise."""
    return {"name": name or f"{plan.name}-{component}", "labels": labels(plan, component)}


def literal(word: str) -> str:
    """A word of a command in which Kubernetes is to see no variable.

    >>> literal("$(LEAVEN_STORE)")
    '$$(LEAVEN_STORE)'
    """
    return word.replace("$", "$$")


def container(
    plan: Plan,
    name: str,
    words: list[str],
    *,
    program: str = "leaven",
    cpu: str,
    memory: str,
    writes: bool,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A container of the image that runs `leaven` with these words.

    Parameters
    ----------
    program : run in its place.
    writes : whether it may write into the volume of data and runs.
    more : ports, probes and the like.
    """
    return {
        "name": name,
        "image": plan.image,
        "command": [program],
        "args": words,
        "env": _environment(plan),
        "resources": {
            "requests": {"cpu": cpu, "memory": memory},
            # No limit of the processor: it would only make answers late while cores are idle.
            "limits": {"memory": memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "home", "mountPath": HOME, "readOnly": not writes},
            {"name": "scratch", "mountPath": _CACHE},
        ],
        **(more or {}),
    }


def pod(plan: Plan, one: dict[str, Any]) -> dict[str, Any]:
    """The specification of a pod of one container, without rights in the cluster."""
    return {
        "serviceAccountName": plan.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [one],
        "volumes": [
            {"name": "home", "persistentVolumeClaim": {"claimName": plan.name}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "4Gi"}},
        ],
    }


def secret(plan: Plan, variable: str, key: str) -> dict[str, Any]:
    """A variable whose value is kept in the Secret."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": plan.secret, "key": key}}}


def _environment(plan: Plan) -> list[dict[str, Any]]:
    # As many threads as cores are asked for; else there would be one for each core of the node.
    cores = {"resource": "requests.cpu", "divisor": "1"}
    found: list[dict[str, Any]] = [
        {"name": "HOME", "value": _CACHE},
        {"name": "LEAVEN_CACHE", "value": f"{_CACHE}/leaven"},
        {"name": "OMP_NUM_THREADS", "valueFrom": {"resourceFieldRef": cores}},
        secret(plan, "LEAVEN_STORE", "store"),
    ]
    if plan.signed:
        found.append(secret(plan, "LEAVEN_PUBLIC_KEY", "public-key"))
    if plan.encrypted:
        found.append(secret(plan, "LEAVEN_ENCRYPTION_KEY", "encryption-key"))
    return found
