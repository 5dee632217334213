"""The pages on which people answer: one server, for it keeps nothing but what is in the store."""

from __future__ import annotations

from typing import Any

from leaven.operate.kubernetes.plan import Plan, Review
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

__all__ = ["PORT", "REVIEW", "review", "review_service"]

PORT, REVIEW = 8090, "review"


def review(plan: Plan, asked: Review) -> dict[str, Any]:
    """The Deployment of the pages, for a team."""
    words = [
        "review", literal(asked.run), "--team", "--host", EVERYWHERE, "--port", str(PORT),
        "--name", asked.host, "--store", STORE,
    ]  # fmt: skip
    signing_in = {"httpGet": {"path": "/sign-in", "port": PORT}, "timeoutSeconds": 5}
    more = {
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**signing_in, "periodSeconds": 5, "failureThreshold": 2},
    }
    one = container(plan, REVIEW, words, cpu="200m", memory="2Gi", writes=False, more=more)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(plan, REVIEW),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selector(plan, REVIEW)},
            "template": {"metadata": {"labels": labels(plan, REVIEW)}, "spec": pod(plan, one)},
        },
    }


def review_service(plan: Plan) -> dict[str, Any]:
    """The address of the pages within the cluster; an ingress with a certificate leads to it."""
    ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(plan, REVIEW),
        "spec": {"selector": selector(plan, REVIEW), "ports": ports},
    }
