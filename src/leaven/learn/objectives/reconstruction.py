"""Denoising reconstruction: what the network makes of a strong view must tell the plain record.

The multi-task objective behind the ladder network (Rasmus et al. 2015, arXiv:1507.02672, eq. 2 and
algorithm 1): the denoising costs of several layers are weighted and added to the supervised
loss. As in the ladder, one decoder begins at the top, with the softmax of the answer, so that
the four or ten numbers that name the class must tell as much of the record as they can: records
that look alike come to be named alike, and the labels say what by. Another begins at the features,
and teaches the encoder what in a record goes with what.

Departures. The ladder's lateral connections and its noise in each layer ask for an encoder made
for it; here any encoder serves: its noise is the strong view, and of the decoder's layers only the
lowest has a cost, the entered record. The two costs are means over a record's entries, not sums
over layers, so that the weights mean the same for images, tables and texts. Of texts that are
entered as sequences the mean word vector is told, without gradient into the words.

Use it as a careful first step: it asks nothing of the guesses, so wrong ones cannot feed on
themselves, and its gains are small and steady.

It fails where what is most of a record is not its class: the top decoder then divides the records
by background, size or slant. The term of the features is harmless there, and helps little where
the encoder already passes on what has entered.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaven.learn.decoders import decoder, entered, whole
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, concatenate
from leaven.learn.train import LoopMethod

__all__ = ["Reconstruction"]


@dataclass(frozen=True)
class Reconstruction(Objective):
    """Supervised loss on labelled records, plus the errors of two decoders on unlabelled ones.

        loss = mean_l CE(f(weak(x_l)), y_l)
             + weight · mean_u (‖d(h(strong(x_u))) - x_u‖² + top · ‖e(p(strong(x_u))) - x_u‖²) / D

    where x_u is the plain record as it is entered, of D entries, h its features, p its class
    probabilities, and d and e are dense, or of transposed convolutions. There is no ramp, as in
    the ladder.
    """

    weight: float = 1.0
    top: float = 0.2

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """Both decoders."""
        shape = whole(entered(problem, network)).shape[1:]
        return nn.ModuleDict(
            {
                "features": decoder(network.encoder.width, shape),
                "top": decoder(problem.classes, shape),
            }
        )

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        labelled, targets, task = now.draw.labelled(), now.draw.targets, now.task
        if self.weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        views = concatenate(labelled, now.draw.unlabelled("strong"))
        output, features = now.network(views, features=True)
        with torch.no_grad():
            plain = whole(now.network.enter(now.draw.unlabelled("plain")))
        guess = task.probabilities(output[len(targets) :])
        below = _error(now.state["features"](features[len(targets) :]), plain)
        top = _error(now.state["top"](guess), plain)
        return Loss(
            {
                "supervised": task.loss(output[: len(targets)], targets).mean(),
                "unlabelled": self.weight * below,
                "top": self.weight * self.top * top,
            }
        )


def _error(told: Tensor, record: Tensor) -> Tensor:
    """The mean squared error of an entry."""
    return (told - record).square().mean()


METHODS.add(
    "reconstruction",
    LoopMethod(
        name="reconstruction",
        summary="denoising from the features and from the class probabilities",
        paper="Rasmus et al. 2015, arXiv:1507.02672",
        family="generative",
        objective=Reconstruction(),
    ),
)
