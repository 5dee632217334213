"""When projections agree: by naming the same prototype, or the same cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.choices.choice import part, within
from leaven.learn.choices.joint import Agreement, Projected
from leaven.learn.method import Problem
from leaven.learn.objective import Loss, Moment, decay_of

__all__ = ["Centred", "Clustered", "Swapped", "cluster", "even_codes"]


@part("agreement")
@dataclass(frozen=True)
class Centred(Agreement):
    """Name the prototypes that the target names, once it is centred and sharpened.

    Caron et al. 2021 (DINO), eq. 1, 3 and 4: cross-entropy of softmax(p / temperature) with
    softmax((t - c) / sharp), the mean over all pairs of different views. c is the running mean of
    all targets with `decay`, and changes after the loss. The target's temperature rises linearly
    from `first` to `sharp` over the first `warm_up` share of the training.
    """

    temperature: float = 0.1
    sharp: float = 0.07
    first: float = 0.04
    warm_up: float = 0.3
    decay: float = 0.9

    def __post_init__(self) -> None:
        for name in ("temperature", "sharp", "first"):
            within(f"{name} of Centred", getattr(self, name), 0.001, 10)
        within("warm_up of Centred", self.warm_up, 0, 1)
        within("decay of Centred", self.decay, 0, 1)

    def build(self, problem: Problem, width: int) -> nn.Module:
        """The centre."""
        return _Centre(width)

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """One term, and the entropy of the mean target as a share of the greatest.

        Near 0 all records name one prototype.
        """
        share = min(now.progress / self.warm_up, 1.0) if self.warm_up else 1.0
        sharp = self.first + share * (self.sharp - self.first)
        with torch.no_grad():
            named = [((t - state.centre) / sharp).softmax(-1) for t in seen.target]
            even = _evenness(torch.cat(named).mean(0))
            mean = torch.cat(seen.target).mean(0)
            state.centre.lerp_(mean.to(state.centre.dtype), 1 - decay_of(self.decay, now))
        distance = _named_alike(seen.online, named, self.temperature)
        return Loss({"distance": distance}, {"evenness": even})


@part("agreement")
@dataclass(frozen=True)
class Swapped(Agreement):
    """Name the prototypes that another view is given, all prototypes being given equally often.

    Caron et al. 2020 (SwAV), eq. 2 to 5: the codes of a view are those of `even_codes`, without
    gradient; the mean over all pairs of different views.
    """

    temperature: float = 0.1
    sharpness: float = 0.05
    iterations: int = 3

    def __post_init__(self) -> None:
        within("temperature of Swapped", self.temperature, 0.001, 10)
        within("sharpness of Swapped", self.sharpness, 0.001, 10)
        within("iterations of Swapped", self.iterations, 1, 1000)

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """One term, and how even the prototypes are before they are made so."""
        with torch.no_grad():
            codes = [even_codes(t, self.sharpness, self.iterations) for t in seen.target]
            said = torch.cat([(t / self.temperature).softmax(-1) for t in seen.target])
            even = _evenness(said.mean(0))
        distance = _named_alike(seen.online, codes, self.temperature)
        return Loss({"distance": distance}, {"evenness": even})


@part("agreement")
@dataclass(frozen=True)
class Clustered(Agreement):
    """Name the cluster in which the record was when all records were clustered last.

    Caron et al. 2018 (DeepCluster), eq. 2, with the mean directions of the clusters for the
    weights of the classifier, as the appendix of SwAV has it (DeepCluster-v2). The projections of
    all records are remembered as they last were and clustered anew with each pass over the
    records; in the first pass the clusters are those of the first batch. Records are weighed by
    the inverse size of their cluster, so that one large cluster is no way out (section 3.3).
    """

    clusters: int = 16
    temperature: float = 0.1
    rounds: int = 10

    def __post_init__(self) -> None:
        within("clusters of Clustered", self.clusters, 2, 65536)
        within("temperature of Clustered", self.temperature, 0.001, 10)
        within("rounds of Clustered", self.rounds, 1, 1000)

    def build(self, problem: Problem, width: int) -> nn.Module:
        """What is remembered of the records, and the clusters."""
        size = len(problem.unlabelled)
        most = problem.training.most_unlabelled
        return _Clusters(size, min(size, most) if most else size, width, self.clusters)

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """One term, and how even the clusters are."""
        views = [F.normalize(online, dim=-1) for online in seen.online]
        fresh = F.normalize(torch.stack(views).mean(0).detach(), dim=-1)
        records, u = now.draw.records, len(fresh)
        if now.step == 0:
            state.form(fresh, None, self.rounds, now.draw.rng)
        elif now.step * u // state.turn > (now.step - 1) * u // state.turn:
            known = state.known.nonzero().squeeze(1)
            state.form(state.features[known], known, self.rounds, now.draw.rng)
        named, weight = state.lookup(records, fresh)
        state.remember(records, fresh)
        centres = state.centres.to(fresh.dtype).clone()
        terms = [
            (weight * F.cross_entropy(view @ centres.T / self.temperature, named, reduction="none"))
            for view in views
        ]
        distance = torch.stack(terms).mean(0).sum() / weight.sum()
        return Loss(
            {"distance": distance}, {"evenness": _evenness(state.sizes / state.sizes.sum())}
        )


class _Centre(nn.Module):
    """The running mean of the targets (d,)."""

    centre: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))


class _Clusters(nn.Module):
    """One unit vector a record, as it last was, and clusters of them.

    Buffers: `features` (n, d), `known` (n,) whether it has been seen, `named` (n,) its cluster or
    -1, `centres` (k, d), `sizes` (k,). `turn` records make a pass.
    """

    features: Tensor
    known: Tensor
    named: Tensor
    centres: Tensor
    sizes: Tensor

    def __init__(self, size: int, turn: int, width: int, clusters: int) -> None:
        super().__init__()
        self.turn = turn
        self.register_buffer("features", torch.zeros(size, width))
        self.register_buffer("known", torch.zeros(size, dtype=torch.bool))
        self.register_buffer("named", torch.full((size,), -1))
        self.register_buffer("centres", torch.zeros(clusters, width))
        self.register_buffer("sizes", torch.ones(clusters))

    @torch.no_grad()
    def form(
        self, points: Tensor, records: Tensor | None, rounds: int, rng: torch.Generator
    ) -> None:
        """Cluster these points; those of records are remembered to be in them."""
        centres, named = cluster(points, len(self.centres), rounds, rng)
        self.centres.copy_(centres)
        self.sizes.copy_(torch.bincount(named, minlength=len(centres)))
        self.named.fill_(-1)
        if records is not None:
            self.named[records] = named

    @torch.no_grad()
    def lookup(self, records: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor]:
        """(u,) each record's cluster, of one without the nearest now; (u,) its weight."""
        nearest = (fresh @ self.centres.to(fresh.dtype).T).argmax(1)
        named = torch.where(self.named[records] < 0, nearest, self.named[records])
        return named, 1 / self.sizes[named].clamp(min=1)

    @torch.no_grad()
    def remember(self, records: Tensor, fresh: Tensor) -> None:
        """Keep the new vectors; of a record that is there several times, the last."""
        last = records.new_zeros(len(self.features))
        order = torch.arange(len(records), device=records.device)
        last.scatter_reduce_(0, records, order, "amax", include_self=True)
        self.features[records] = fresh[last[records]].to(self.features.dtype)
        self.known[records] = True


@torch.no_grad()
def cluster(
    points: Tensor, clusters: int, rounds: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(k, d) mean directions and (n,) the nearest of each of (n, d) unit vectors.

    Spherical k-means (Dhillon & Modha 2001) from points drawn without replacement. A cluster
    that is left empty begins anew at a point that is far from its own centre, the farthest first.
    """
    start = torch.randperm(len(points), generator=rng, device=points.device)
    centres = points[start[torch.arange(clusters, device=points.device) % len(points)]]
    for _ in range(rounds):
        cosine, named = (points @ centres.T).max(1)
        # By a product: sums by place come in any order on a graphics card.
        members = F.one_hot(named, clusters).to(points.dtype)
        centres = F.normalize(members.T @ points, dim=-1)
        empty = (members.sum(0) == 0).nonzero().squeeze(1)
        farthest = cosine.argsort(stable=True)
        centres[empty] = points[
            farthest[torch.arange(len(empty), device=empty.device) % len(points)]
        ]
    return centres, (points @ centres.T).argmax(1)


def even_codes(scores: Tensor, sharpness: float, iterations: int) -> Tensor:
    """(u, k) shares of the prototypes in each record, which sum to one; (u, k) scores.

    `iterations` times, exp(scores / sharpness) is scaled so that all prototypes have equal sums,
    and then so that all records have (Sinkhorn-Knopp; Caron et al. 2020, SwAV, section 3.1).
    """
    logs = scores / sharpness
    for _ in range(iterations):
        logs = logs.log_softmax(0)
        logs = logs.log_softmax(1)
    return logs.exp()


def _named_alike(online: list[Tensor], named: list[Tensor], temperature: float) -> Tensor:
    """The mean cross-entropy over all pairs of different views."""
    logs = [(view / temperature).log_softmax(-1) for view in online]
    pairs = Projected(logs, named).pairs()
    return torch.stack([-(target * log).sum(-1).mean() for log, target in pairs]).mean()


def _evenness(shares: Tensor) -> Tensor:
    """(k,) shares to the share of the greatest entropy: 1 where all are equal."""
    entropy: Tensor = -torch.xlogy(shares, shares).sum() / torch.log(
        torch.tensor(float(len(shares)), device=shares.device)
    )
    return entropy
