"""The servers under KServe, as an InferenceService.

Without a canary KServe makes a Deployment of it. Only Knative can split requests between an image
and the one before, and it takes less of a pod: what it refuses is left out then.
"""

from __future__ import annotations

from typing import Any

from leaven.operate.kubernetes.plan import Plan
from leaven.operate.kubernetes.pods import USER, labels, meta, pod
from leaven.operate.kubernetes.serving import ENDING, SERVE, asked, server

__all__ = ["inference"]

_CONTAINER = "kserve-container"  # by this name KServe finds the one that answers
_MODE = "serving.kserve.io/deploymentMode"


def inference(plan: Plan) -> dict[str, Any]:
    """The InferenceService; its paths are those of the Open Inference Protocol 2."""
    canary = plan.canary is not None
    told = meta(plan, SERVE, plan.name)
    told["annotations"] = {_MODE: "Serverless" if canary else "RawDeployment"}
    predictor: dict[str, Any] = {
        "minReplicas": plan.replicas,
        "maxReplicas": plan.most,
        "labels": labels(plan, SERVE),
        **(_for_knative(plan) if canary else _plain(plan)),
    }
    if canary:
        predictor["canaryTrafficPercent"] = plan.canary
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": told,
        "spec": {"predictor": predictor},
    }


def _plain(plan: Plan) -> dict[str, Any]:
    one = pod(plan, server(plan, _CONTAINER, "http1"))
    return one | {"terminationGracePeriodSeconds": ENDING}


def _for_knative(plan: Plan) -> dict[str, Any]:
    """The pod without what Knative's API does not have; who it runs as stands in the container."""
    one = server(plan, _CONTAINER, "http1")
    del one["lifecycle"], one["startupProbe"]
    one["env"] = [
        {"name": told["name"], "value": "1"}
        if "resourceFieldRef" in told.get("valueFrom", {})
        else told
        for told in one["env"]
    ]
    one["livenessProbe"] = asked("live", every=10, failures=30)  # it has five minutes to begin
    one["securityContext"] |= {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    whole = pod(plan, one)
    return {
        name: whole[name]
        for name in ("serviceAccountName", "enableServiceLinks", "containers", "volumes")
    }
