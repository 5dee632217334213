"""Meta Pseudo Labels: a teacher that is told how much its pseudo-labels helped its student.

Pham et al. 2021, arXiv:2003.10580, section 3 and appendix A. The student learns the teacher's
pseudo-labels alone; the teacher learns from labelled records, from UDA's loss, and from whether
a student's step on its pseudo-labels makes the student better on labelled records.

- How much better is measured, not derived: the student's labelled loss before, less that after
  one plain step of gradient descent of size `inner_rate`. To first order it is the paper's dot
  product of gradients times that size. Both losses are without dropout, and all of it in full
  precision. A running mean is taken off, as in the authors' code.
- A pseudo-label is the likeliest class of the teacher's answer to a weak view, as in UDA and
  FixMatch; the paper's algorithm draws it from the answer.
- The student's real step is the loop's, with its own optimiser, and so is the teacher's. Both have
  the same form and start from the same weights.
- Over the `warm_up` first share both learn labelled records alone. The paper has no such phase and
  needs none in a million steps; in a thousand the student does not recover from the pseudo-labels
  of a teacher that knows nothing.
- Over the `tuned` last share the student learns labelled records, the paper's finetuning, and the
  teacher rests.
- UDA's loss has a threshold of 0.8 and a temperature of 0.4, as our method of that name has.

Use it with thousands of steps, and labels enough to tell the teacher whether its student improved.

It fails in few steps: the feedback is one number a step and says little, the teacher is one
trained by UDA, and the student, which sees strong views alone in between, is behind methods that
go on with labelled records. It holds two networks.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from leaven.data.arrays import Batch
from leaven.learn.choices.choice import within
from leaven.learn.choices.distances import Divergence
from leaven.learn.choices.targets import Sharpen
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, PseudoLabels, concatenate, decay_of
from leaven.learn.still import bare, still
from leaven.learn.train import LoopMethod


@dataclass(frozen=True)
class MetaPseudoLabels(Objective):
    """The student's loss, and the teacher's: two networks, and no gradient between them.

        student = mean_u CE(S(strong(x_u)), ŷ_u),  ŷ_u = argmax q_u
        teacher = mean_l CE(T(weak(x_l)), y_l)
                + uda · mean_u [max q_u ≥ threshold] · KL(sharpened q_u ‖ T(strong(x_u)))
                + feedback · (h - h̄) · mean_u CE(T(strong(x_u)), ŷ_u)
        h       = L(S) - L(S - inner_rate · ∇ student),  L(S) = mean_l CE(S(weak(x_l)), y_l)

    with q_u = T(weak(x_u)) and h̄ the running mean of h, zero at first; with `decay` 0 it is the h
    of the step before. Until `warm_up` of the training the loss is mean_l CE(S(weak(x_l)), y_l) and
    the same of T; from 1 - `tuned` on it is that of S alone. In between, the term `supervised` is
    the teacher's.
    """

    uda: float = 1.0
    threshold: float = 0.8
    temperature: float = 0.4
    feedback: float = 1.0
    inner_rate: float = 0.1
    decay: float = 0.99
    warm_up: float = 0.2
    tuned: float = 0.1

    def __post_init__(self) -> None:
        within("threshold of meta-pseudo-labels", self.threshold, 0, 1)
        within("temperature of meta-pseudo-labels", self.temperature, 0.01, 10)
        within("inner_rate of meta-pseudo-labels", self.inner_rate, 1e-4, 10)
        within("decay of meta-pseudo-labels", self.decay, 0, 0.99999)
        within("warm_up of meta-pseudo-labels", self.warm_up, 0, 0.9)
        within("tuned of meta-pseudo-labels", self.tuned, 0, 0.9)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The `teacher`, and the running mean `helped` of what its pseudo-labels bring."""
        kept = nn.Module()
        kept.teacher = copy.deepcopy(network)
        kept.register_buffer("helped", torch.zeros(()))
        return kept

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        labelled, targets, task = now.draw.labelled(), now.draw.targets, now.task
        teacher, helped = now.state.teacher, now.state.helped
        if now.progress >= 1 - self.tuned:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        if now.progress < self.warm_up:
            return Loss(
                {
                    "supervised": task.loss(now.network(labelled), targets).mean(),
                    "teacher": task.loss(teacher(labelled), targets).mean(),
                }
            )
        weak, strong = now.draw.unlabelled("weak"), now.draw.unlabelled("strong")
        with torch.no_grad():
            guess = task.probabilities(teacher(weak))
        both = teacher(concatenate(labelled, strong))
        supervised, answered = both[: len(targets)], both[len(targets) :]
        pseudo = guess.argmax(-1)
        # The bare network, for its gradient is asked for within the step.
        learnt = bare(now)(strong)
        student = task.loss(learnt, pseudo).mean()
        gain = self._gain(now, student, labelled)
        accepted = (guess.max(-1).values >= self.threshold).to(guess.dtype)
        divergence = Divergence()(answered, Sharpen(self.temperature)(guess))
        told = self.feedback * (gain - helped.to(gain.dtype))
        helped.lerp_(gain.to(helped.dtype), 1 - decay_of(self.decay, now))
        terms = {
            "supervised": task.loss(supervised, targets).mean(),
            "unlabelled": student,
            "uda": self.uda * (accepted * divergence).mean(),
            "feedback": told * task.loss(answered, pseudo).mean(),
        }
        answers = learnt.detach().argmax(-1)
        taught = PseudoLabels(now.draw.records, guess, torch.ones_like(guess[:, 0]), answers)
        return Loss(terms, figures={"gain": gain}, taught=taught)

    def _gain(self, now: Moment, student: Tensor, labelled: Batch) -> Tensor:
        """h, a scalar without gradient."""
        with still(now) as network:
            before: dict[str, Tensor] = {
                name: weight for name, weight in network.named_parameters() if weight.requires_grad
            }
            slopes = torch.autograd.grad(
                student, list(before.values()), retain_graph=True, materialize_grads=True
            )
            with torch.no_grad():
                steps = zip(before.items(), slopes, strict=True)
                after = {n: w - self.inner_rate * slope for (n, w), slope in steps}
                losses = [
                    now.task.loss(functional_call(network, weights, (labelled,)), now.draw.targets)
                    for weights in (before, after)
                ]
            return losses[0].mean() - losses[1].mean()


METHODS.add(
    "meta-pseudo-labels",
    LoopMethod(
        name="meta-pseudo-labels",
        summary="a teacher that learns how much its pseudo-labels help the student",
        paper="Pham et al. 2021, arXiv:2003.10580",
        family="pseudo-labels",
        objective=MetaPseudoLabels(),
    ),
)
