"""What the parts of a service share: an account without rights, a volume, and who reaches whom."""

from __future__ import annotations

from typing import Any

from leaven.operate.kubernetes.plan import Plan
from leaven.operate.kubernetes.pods import meta, selector

__all__ = ["account", "claim", "reach", "reach_of_gateways", "reach_of_operator"]

_PART = "shared"
_DNS, _POSTGRES, _HTTPS = 53, 5432, 443


def account(plan: Plan) -> dict[str, Any]:
    """Who the pods are in the cluster: nobody who may do anything."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": meta(plan, _PART, plan.name),
        "automountServiceAccountToken": False,
    }


def claim(plan: Plan) -> dict[str, Any]:
    """The volume for data and runs, which pods on several nodes read."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": plan.storage}},
    }
    if plan.storage_class:
        spec["storageClassName"] = plan.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta(plan, _PART, plan.name),
        "spec": spec,
    }


def reach(plan: Plan, component: str, port: int | None) -> dict[str, Any]:
    """Who may reach a part, and what it may reach: names, the database, and HTTPS.

    Parameters
    ----------
    port : at which pods of this namespace may reach it; None lets nobody in.
    """
    entry = {"from": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": port}]}
    return _policy(plan, component, [] if port is None else [entry])


def reach_of_gateways(plan: Plan, component: str) -> dict[str, Any]:
    """The same where gateways and their helpers in the pod stand before it, at ports of theirs."""
    return _policy(plan, component, [{"from": [{"namespaceSelector": {}}]}])


def reach_of_operator(
    plan: Plan, component: str, port: int, operator: dict[str, str]
) -> dict[str, Any]:
    """The same where an operator asks too, at that port, from whichever namespace it stands in."""
    anywhere = {"namespaceSelector": {}, "podSelector": {"matchLabels": operator}}
    ports = [{"protocol": "TCP", "port": port}]
    return _policy(plan, component, [{"from": [{"podSelector": {}}, anywhere], "ports": ports}])


def _policy(plan: Plan, component: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    names = [{"protocol": protocol, "port": _DNS} for protocol in ("UDP", "TCP")]
    rest = [{"protocol": "TCP", "port": one} for one in (_POSTGRES, _HTTPS)]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta(plan, component),
        "spec": {
            "podSelector": {"matchLabels": selector(plan, component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": entries,
            "egress": [{"ports": names + rest}],
        },
    }
