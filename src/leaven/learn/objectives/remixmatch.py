"""ReMixMatch: aligned, sharpened answers to weak views anchor several strong ones, all mixed.

Berthelot et al. 2020, arXiv:1911.09785, algorithm 1 and eq. 3 and 4: guesses aligned to the
labels' shares, temperature 0.5, MixUp with alpha 0.75 over all views, cross-entropy with weight
1.5, the first strong view unmixed with 0.5, rotation with 0.5.

- `views` is 8 in the paper; each costs a pass over all unlabelled records, and ours is 2.
- The unlabelled terms grow along a linear ramp, as in the authors' code; the paper has none. Ours
  is long, and begins late: a network that knows nothing yet is drawn to answers that are all alike.
- The labelled records are seen in weak views; in the paper's strong ones (`labelled_view`) a
  network that starts from nothing learns too slowly for a training of some hundred steps.
- The strong view is CTAugment (section 3.2.2) where the modality's can be steered: how well the
  network recognises labelled records under magnitudes drawn evenly says which magnitudes are used.
  Elsewhere it is the modality's own.
- The rotation term is of square pictures only, and left out elsewhere. Where a picture that is
  turned is another thing, as with digits, set `rotation = 0`.

Use it on pictures with very few labels a class and time to spare: with two strong views a step
takes about three times FixMatch's.

It fails where the unlabelled records hold other shares of the classes than the labelled ones do:
alignment misleads there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.arrays import Batch
from leaven.data.views.mixing import MixUp
from leaven.learn.choices.align import ToPrior
from leaven.learn.choices.choice import Ramp, Seen, within
from leaven.learn.choices.distances import CrossEntropy
from leaven.learn.choices.ramps import LinearRamp
from leaven.learn.choices.targets import Sharpen
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, PseudoLabels, concatenate
from leaven.learn.rotation import draw_turns, rotation_head, turned
from leaven.learn.train import LoopMethod

_align = ToPrior(128)
_distance = CrossEntropy()
_RAMP = LinearRamp(0.1, 0.9)


@dataclass(frozen=True)
class ReMixMatch(Objective):
    """Labelled records, anchors and their strong views, mixed with one another.

        loss = mean_l CE(f(x'_l), p'_l)
             + ramp(t) · [weight · mean_v CE(f(u'_v), q'_v) + unmixed · mean_u CE(f(û_u1), q_u)]
             + rotation · mean_u CE(h(turned(û_u1, r_u)), r_u)

    The guess q_u is the answer to a weak view, aligned and sharpened; v runs over the strong
    views û_u1, û_u2, … and the weak one. x', p', u', q' are the records and targets mixed with
    those of a random partner among all of both, by λ' = max(λ, 1 - λ), λ ~ Beta(alpha, alpha).
    h is a second head on f's features, r_u from 0 to 3 quarter turns.
    """

    weight: float = 1.5
    unmixed: float = 0.5
    rotation: float = 0.5
    views: int = 2
    labelled_view: str = "weak"
    temperature: float = 0.5
    alpha: float = 0.75
    ramp: Ramp | None = _RAMP

    def __post_init__(self) -> None:
        within("views of remixmatch", self.views, 1, 64)
        within("temperature of remixmatch", self.temperature, 0.01, 10)
        within("alpha of remixmatch", self.alpha, 0.01, 100)
        if self.labelled_view not in ("weak", "strong"):
            raise SettingError("labelled_view of remixmatch", "weak or strong", self.labelled_view)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The last means of `align`, the head `turns`, and the `rates` of the magnitudes."""
        kept = nn.Module()
        kept.align = _align.state(problem, network)
        kept.add_module("turns", rotation_head(problem, network) if self.rotation else None)
        dials = problem.views.dials(problem.spec)
        kept.register_buffer("rates", None if dials is None else torch.ones(dials))
        return kept

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, kept, known = now.draw, now.state, len(now.draw.targets)
        hard = self.labelled_view == "strong"
        labelled = _strong(now, draw.labelled_records) if hard else draw.labelled("weak")
        assert draw.unlabelled_records is not None
        anchor = draw.unlabelled("weak")
        strong = [_strong(now, draw.unlabelled_records) for _ in range(self.views)]
        guess = self._guess(now, anchor)
        sharpened = Sharpen(self.temperature)(guess)
        entered = now.network.enter(concatenate(labelled, *strong, anchor))
        given = now.task.shares(draw.targets, guess.shape[-1]).to(guess.dtype)
        target = torch.cat([given, sharpened.repeat(self.views + 1, 1)])
        mixing = MixUp(self.alpha, keep=True)
        mix = mixing.draw(entered, draw.rng)
        mixed = mixing.blend(target, mix)
        first = entered[known : known + len(guess)]
        parts = [mixing.apply(entered, mix), first]
        if kept.turns is not None:
            turns = draw_turns(len(first), draw.rng)
            parts.append(turned(first, turns))
        output, features = now.network(torch.cat(parts), features=True)
        others = output[known : len(entered)]
        alone = output[len(entered) : len(entered) + len(first)]
        ramp = self.ramp(now.progress) if self.ramp else 1.0
        terms = {
            "supervised": _distance(output[:known], mixed[:known]).mean(),
            "unlabelled": ramp * self.weight * _distance(others, mixed[known:]).mean(),
            "unmixed": ramp * self.unmixed * _distance(alone, sharpened).mean(),
        }
        if kept.turns is not None:
            named = kept.turns(features[-len(first) :])
            terms["rotation"] = self.rotation * F.cross_entropy(named, turns)
        answers = alone.detach().argmax(-1)
        taught = PseudoLabels(draw.records, guess, torch.ones_like(guess[:, 0]), answers)
        return Loss(terms, taught=taught)

    @torch.no_grad()
    def _guess(self, now: Moment, anchor: Batch) -> Tensor:
        """(u, k) aligned answers to the weak view; in the same pass the magnitudes are judged."""
        draw, rates = now.draw, now.state.rates
        views = anchor
        if rates is not None:
            tried, steering = draw.modality.steered(
                draw.labelled_records, draw.spec, draw.rng, None
            )
            views = concatenate(anchor, tried)
        output, features = now.network(views, features=True)
        said = now.task.probabilities(output)
        u = len(draw.records)
        if rates is not None:
            # 1 - ½ |answer - label|₁ of the paper is the probability of the label.
            right = said[u:].gather(1, draw.targets.unsqueeze(1)).squeeze(1)
            rates.copy_(steering.learn(rates, right))
        # The alignment looks at the guesses alone, so none of the labelled records are shown it.
        seen = Seen(now, said[:u], said[:0], output[:u], features[:u], features[:0])
        aligned: Tensor = _align(seen, now.state.align)
        return aligned


def _strong(now: Moment, records: Batch) -> Batch:
    """A strong view, by the learnt rates where there are some."""
    draw, rates = now.draw, now.state.rates
    if rates is None:
        return draw.view(records, "strong")
    view, _ = draw.modality.steered(records, draw.spec, draw.rng, rates)
    return view


METHODS.add(
    "remixmatch",
    LoopMethod(
        name="remixmatch",
        summary="anchored strong views with aligned guesses, all mixed; rotation of pictures",
        paper="Berthelot et al. 2020, arXiv:1911.09785",
        family="holistic",
        objective=ReMixMatch(),
    ),
)
