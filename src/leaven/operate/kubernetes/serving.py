"""What answers requests: a Deployment that grows and shrinks, behind one address.

Which run answers is no matter of the manifests: each server follows the releases of the store, and
a canary run gets its share within each of them, sticky by key. What a manifest rolls out is the
image and the settings.
"""

from __future__ import annotations

from typing import Any

from leaven.operate.kubernetes.plan import Plan
from leaven.operate.kubernetes.pods import (
    EVERYWHERE,
    STORE,
    container,
    labels,
    literal,
    meta,
    pod,
    selector,
)

__all__ = [
    "ENDING",
    "PORT",
    "SERVE",
    "asked",
    "deployment",
    "scaling",
    "server",
    "service",
    "steadiness",
]

PORT, SERVE = 8080, "serve"
#: Seconds: until no new request comes, and until the answers under way are given (the server takes
#: 30 at most and then ends by itself).
_LEAVING, ENDING = 5, 45
#: Over what servers are spread, where that can be had.
_OVER = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")


def deployment(plan: Plan) -> dict[str, Any]:
    """The servers. Their number is the autoscaler's matter, so it does not stand here."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(plan, SERVE),
        "spec": {
            "selector": {"matchLabels": selector(plan, SERVE)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": {"labels": labels(plan, SERVE)},
                "spec": pod(plan, server(plan, SERVE, "http"))
                | {
                    "terminationGracePeriodSeconds": ENDING,
                    "topologySpreadConstraints": [_spread(plan, over) for over in _OVER],
                },
            },
        },
    }


def service(plan: Plan) -> dict[str, Any]:
    """The address at which the servers are asked."""
    ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(plan, SERVE),
        "spec": {"selector": selector(plan, SERVE), "ports": ports},
    }


def scaling(plan: Plan) -> dict[str, Any]:
    """More servers where their processors are busy, and slowly fewer again."""
    load = {"type": "Utilization", "averageUtilization": 70}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta(plan, SERVE),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": f"{plan.name}-{SERVE}",
            },
            "minReplicas": plan.replicas,
            "maxReplicas": plan.most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": load}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }


def steadiness(plan: Plan) -> dict[str, Any]:
    """Nodes may be emptied, one server at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": meta(plan, SERVE),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(plan, SERVE)}},
    }


def server(plan: Plan, name: str, port: str) -> dict[str, Any]:
    """The container that serves, under these names of itself and its port."""
    words = ["serve", literal(plan.service), "--host", EVERYWHERE, "--port", str(PORT)]
    words += ["--store", STORE]
    if plan.abstain:
        words += ["--abstain", f"{plan.abstain:g}"]
    more = {
        "ports": [{"name": port, "containerPort": PORT, "protocol": "TCP"}],
        # Models are loaded before the server listens: it has five minutes for it.
        "startupProbe": asked("live", every=5, failures=60),
        "livenessProbe": asked("live", every=10, failures=6),
        "readinessProbe": asked("ready", every=5, failures=2),
        # Until all have learnt that this server goes, requests still come to it.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_LEAVING)]}}},
    }
    return container(plan, name, words, cpu=plan.cpu, memory=plan.memory, writes=False, more=more)


def asked(what: str, *, every: int, failures: int) -> dict[str, Any]:
    """A probe: the server is asked every so many seconds whether it is `live` or `ready`."""
    return {
        "httpGet": {"path": f"/v2/health/{what}", "port": PORT},
        "periodSeconds": every,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _spread(plan: Plan, over: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": over,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(plan, SERVE)},
    }
