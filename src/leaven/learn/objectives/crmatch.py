"""CR-Match: strong and weak views get the same answer from features that are kept apart.

Fan, Kukleva & Schiele 2021, "Revisiting consistency regularization for semi-supervised learning",
arXiv:2112.05825, section 3: FixMatch, the feature distance loss on the accepted records, and
rotation as a pretext task.

- The feature distance is taken of pooled features, for encoders of any modality; the authors
  flatten the last maps of an image network.
- The paper's cosine distance can be pushed up to 2, where the features are opposed; as in public
  reimplementations ours ends at 1, at right angles. The weak view's features take no gradient.
- Rotation is of square pictures only, and left out elsewhere; each weak view is turned once, by
  a random quarter, where the authors show all four. Where a picture that is turned is another
  thing, as with digits, set `rotation = 0`.

Use it where FixMatch would serve, on pictures first of all, with few labels: rotation teaches the
features from every record, also from those whose guesses are not accepted.

It fails where FixMatch does, with unsure or wrong guesses. Where the strong view hardly differs
from the weak one there is nothing to keep apart but noise, and where a picture that is turned
belongs to another class rotation blurs what tells the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from leaven.learn.choices.choice import within
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, PseudoLabels, concatenate
from leaven.learn.rotation import draw_turns, rotation_head, turned
from leaven.learn.train import LoopMethod

__all__ = ["CRMatch"]


@dataclass(frozen=True)
class CRMatch(Objective):
    """FixMatch, a push between the features of its two views, and rotation.

        a_u = 1(max p_u ≥ threshold), p_u the answer to the weak view
        loss = mean_l CE(f(weak_l), y_l)
             + weight · { mean_u a_u · CE(f(strong_u), argmax p_u)
                        + apart · mean_u a_u · max(0, cos(z(strong_u), z(weak_u)))
                        + rotation · mean_u CE(h(turned(weak_u, r_u)), r_u) }

    z is a linear projection of the features to `size` numbers, h a second head on them.
    """

    weight: float = 1.0
    apart: float = 1.0
    rotation: float = 1.0
    threshold: float = 0.95
    size: int = 128

    def __post_init__(self) -> None:
        within("threshold of crmatch", self.threshold, 0, 1)
        within("size of crmatch", self.size, 2, 4096)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`project`, and the head `turns` where records can be turned."""
        kept = nn.Module()
        kept.project = nn.Linear(network.encoder.width, self.size)
        kept.add_module("turns", rotation_head(problem, network) if self.rotation else None)
        return kept

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, task, kept, targets = now.draw, now.task, now.state, now.draw.targets
        labelled = draw.labelled()
        if self.weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        weak, strong = draw.unlabelled("weak"), draw.unlabelled("strong")
        with torch.no_grad():
            answers, calm = now.network(weak, features=True)
            guess = task.probabilities(answers)
            accepted = (guess.max(-1).values >= self.threshold).to(guess.dtype)
            still = kept.project(calm)
        own, u = len(targets), len(guess)
        entered = now.network.enter(concatenate(labelled, strong, weak))
        parts = [entered[: own + u]]
        if kept.turns is not None:
            turns = draw_turns(u, draw.rng)
            parts.append(turned(entered[own + u :], turns))
        both, features = now.network(torch.cat(parts), features=True)
        output = both[own : own + u]
        alike = F.cosine_similarity(kept.project(features[own : own + u]), still).clamp_min(0)
        named = F.cross_entropy(output, guess.argmax(-1), reduction="none")
        terms = {
            "supervised": task.loss(both[:own], targets).mean(),
            "unlabelled": self.weight * (accepted * named).mean(),
            "apart": self.weight * self.apart * (accepted * alike).mean(),
        }
        if kept.turns is not None:
            told = F.cross_entropy(kept.turns(features[own + u :]), turns)
            terms["rotation"] = self.weight * self.rotation * told
        taught = PseudoLabels(draw.records, guess, accepted, output.detach().argmax(-1))
        return Loss(terms, {"alike": alike.detach().mean()}, taught)


METHODS.add(
    "crmatch",
    LoopMethod(
        name="crmatch",
        summary="same answer, other features for strong views; rotation of pictures",
        paper="Fan et al. 2021, arXiv:2112.05825",
        family="contrast",
        objective=CRMatch(),
    ),
)
