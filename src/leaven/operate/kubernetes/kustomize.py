"""The folder: bases that are written anew each time, overlays that belong to whoever runs them.

base/       shared, serve, review, fit, loop: rewritten by each call
once/       what is applied by itself: a Job of fits, a RayJob of one, the desk
overlays/   local, production: written once, then the user's
image/      the Dockerfile, written once
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaven.core.errors import SettingError
from leaven.operate.kubernetes import asking, ray, serving, training
from leaven.operate.kubernetes.image import WHEELS, dockerfile, dockerfile_with_ray
from leaven.operate.kubernetes.kserve import inference
from leaven.operate.kubernetes.plan import Plan
from leaven.operate.kubernetes.shared import (
    account,
    claim,
    reach,
    reach_of_gateways,
    reach_of_operator,
)
from leaven.operate.kubernetes.text import as_yaml

__all__ = ["Written", "write"]

_OURS, _ONCE = ("base", "once"), ("overlays", "image")
_HEAD = "# Written by leaven k8s, which writes it anew. Changes belong into overlays.\n"
_YOURS = "# Written once by leaven k8s. It is yours now.\n"

Manifests = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Written:
    """Paths within the folder: `written` anew, `kept` as the user has them, `removed` as stale."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]


def write(plan: Plan, folder: Path) -> Written:
    """Write the manifests of a plan.

    Files of bases that an earlier call wrote and this one does not are removed, if they still bear
    our first line. SettingError for a folder that holds something else.
    """
    _check(folder)
    ours = {path: _HEAD + as_yaml(told) for path, told in _bases(plan).items()}
    once = {path: _YOURS + as_yaml(told) for path, told in _overlays(plan).items()}
    once |= {"image/Dockerfile": dockerfile(), "image/wheels/README": WHEELS}
    if plan.training is not None and plan.training.ray:
        once["image/ray/Dockerfile"] = dockerfile_with_ray(plan.image)
    kept = tuple(sorted(path for path in once if (folder / path).exists()))
    new = ours | {path: text for path, text in once.items() if path not in kept}
    for path, text in sorted(new.items()):
        _put(folder / path, text)
    return Written(tuple(sorted(new)), kept, _removed(folder, set(ours)))


def _bases(plan: Plan) -> Manifests:
    """Each file of ours, by its path."""
    parts: dict[str, Manifests] = {"shared": _shared(plan), "serve": _serve(plan)}
    if plan.review is not None:
        parts["review"] = {
            "deployment": asking.review(plan, plan.review),
            "service": asking.review_service(plan),
            "network": reach(plan, asking.REVIEW, asking.PORT),
        }
    once: dict[str, Manifests] = {
        "desk": {"pod": training.desk(plan), "network": reach(plan, training.DESK, None)}
    }
    if plan.training is not None:
        parts["fit"] = {"network": reach(plan, training.FIT, None)}
        if plan.training.schedule:
            parts["fit"]["cronjob"] = training.fit_again(plan, plan.training)
        once["fit"] = {"job": training.fit(plan, plan.training)}
        if plan.training.ray:
            network = reach_of_operator(plan, ray.RAY, ray.DASHBOARD, ray.OPERATOR)
            once["ray"] = {"rayjob": ray.ray_job(plan, plan.training), "network": network}
    if plan.looping is not None:
        parts["loop"] = {
            "cronjob": training.loop(plan, plan.looping),
            "network": reach(plan, training.LOOP, None),
        }
    found: Manifests = {"base/kustomization.yaml": _kustomization(parts)}
    for home, group in (("base", parts), ("once", once)):
        for part, manifests in group.items():
            names = [f"{name}.yaml" for name in manifests]
            found[f"{home}/{part}/kustomization.yaml"] = _kustomization(names)
            found |= {f"{home}/{part}/{name}.yaml": one for name, one in manifests.items()}
    return found


def _shared(plan: Plan) -> Manifests:
    return {"account": account(plan), "claim": claim(plan)}


def _serve(plan: Plan) -> Manifests:
    if plan.kserve:
        network = reach_of_gateways(plan, serving.SERVE)
        return {"inference": inference(plan), "network": network}
    return {
        "deployment": serving.deployment(plan),
        "service": serving.service(plan),
        "scaling": serving.scaling(plan),
        "steadiness": serving.steadiness(plan),
        "network": reach(plan, serving.SERVE, serving.PORT),
    }


def _overlays(plan: Plan) -> Manifests:
    """`production` is the bases as they are, `local` those on one node with one server."""
    alone = {"minReplicas": 1, "maxReplicas": 1}
    few = (
        _patch(inference(plan), {"predictor": alone})
        if plan.kserve
        else _patch(serving.scaling(plan), alone)
    )
    patches = {"claim.yaml": _patch(claim(plan), {"accessModes": ["ReadWriteOnce"]})}
    patches["scaling.yaml"] = few
    bases = ["../../base"]
    found = {f"overlays/local/{name}": one for name, one in patches.items()}
    listed = {"patches": [{"path": name} for name in patches]}
    found["overlays/local/kustomization.yaml"] = _kustomization(bases) | listed
    found["overlays/production/kustomization.yaml"] = _kustomization(bases)
    return found


def _kustomization(resources: Iterable[str]) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
    }


def _patch(whole: Mapping[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """What of an object an overlay says otherwise."""
    told = {"name": whole["metadata"]["name"]}
    return {name: whole[name] for name in ("apiVersion", "kind")} | {
        "metadata": told, "spec": spec
    }  # fmt: skip


def _check(folder: Path) -> None:
    """SettingError where there is something that is not ours."""
    if folder.exists() and not folder.is_dir():
        raise SettingError("folder", "a folder", str(folder))
    known = (*_OURS, *_ONCE)
    other = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if (strange := sorted(set(other) - set(known))) and not (folder / "base").is_dir():
        raise SettingError(
            "folder", "one that is empty or has manifests of leaven k8s", str(folder),
            f"It holds '{strange[0]}'.",
        )  # fmt: skip


def _put(path: Path, text: str) -> None:
    """Write beside and rename, so that nobody applies half a manifest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _removed(folder: Path, ours: set[str]) -> tuple[str, ...]:
    """Remove what an earlier call wrote and this one did not."""
    stale = []
    for path in [path for home in _OURS for path in sorted((folder / home).rglob("*.yaml"))]:
        name = path.relative_to(folder).as_posix()
        if name not in ours and path.read_text("utf-8", errors="replace").startswith(_HEAD):
            path.unlink()
            stale.append(name)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    return tuple(stale)
