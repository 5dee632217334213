"""AdaBN: train on the labelled records, normalise by the statistics of the unlabelled ones.

Li et al. 2016, "Revisiting batch normalization for practical domain adaptation",
arXiv:1603.04779, section 3.2 and algorithm 1: a weight matrix holds what tells the classes apart,
batch statistics hold the domain, so those of the target domain replace the source's. The
unlabelled records are the target; records that are predicted later should be as they are.

- Most of our encoders have no batch normalisation, so the method brings its own, of the features
  before the linear layer. Batch normalisations inside an encoder are adapted as well.
- Each mean and variance is that of all records; a layer behind another one sees blocks of up to
  1024 normalised by their own statistics, and blocks take every so-many-th record, so that an
  order in the records does not make them differ. At most 10,000 records are looked at.

Use it where the records to be predicted come from another instrument, place or time than the
labelled ones, with tens of labels a class, and with encoders whose features are the scores of a
record (`standardised`, the components) or of a convolutional network. It costs one pass.

It fails where classes are not as frequent here as there: standardising moves them apart. It makes
up for each feature's own shift and scale, and for nothing else; what a hidden layer without a
normalisation of its own made of a shifted record is lost before.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaven.learn.encoder import sample
from leaven.learn.head import LinearHead
from leaven.learn.heads.normalised import NormalisedHead
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective
from leaven.learn.train import LoopMethod

__all__ = ["AdaBN", "adapt"]

_RECORDS, _BLOCK = 10_000, 1024


@dataclass(frozen=True)
class AdaBN(Objective):
    """The supervised loss alone; then `adapt`.

        loss = mean_l CE(W (g(x_l) - μ_B) / σ_B + b, y_l)     with μ_B, σ_B of the batch
        model(x) = W (g(x) - μ_u) / σ_u + b                   with μ_u, σ_u of the unlabelled

    g are the encoder's features.
    """

    def head(self, problem: Problem, width: int) -> LinearHead:
        """The task's head, behind a normalisation."""
        head = NormalisedHead(width, problem.classes)
        head.load_state_dict(problem.label.head(width, problem.classes).state_dict(), strict=False)
        return head

    def loss(self, now: Moment) -> Loss:
        """The mean over the labelled records."""
        output = now.network(now.draw.labelled())
        return Loss({"supervised": now.task.loss(output, now.draw.targets).mean()})

    def finish(self, problem: Problem, network: Network) -> None:
        """Normalise by the unlabelled records."""
        adapt(network, problem)


@torch.no_grad()
def adapt(network: Network, problem: Problem) -> None:
    """Give every batch normalisation the mean and variance of the unlabelled records, unchanged.

    Batch normalisations are torch's, and modules with an attribute `statistics`: the buffers of
    mean and variance (channels,). All else in the network is in evaluation mode. Fewer than two
    unlabelled records change nothing.
    """
    index = sample(problem.unlabelled, _RECORDS, problem.seed)
    layers = [(m, s) for m in network.modules() if (s := _statistics(m)) is not None]
    if len(index) < 2:
        return
    was_training, device = network.training, next(network.parameters()).device
    network.eval()
    seen = []
    for layer, _ in layers:
        layer.train()
        seen.append(_Spread(layer))
    blocks = -(-len(index) // _BLOCK)
    for number in range(blocks):
        batch = problem.arrays.batch(index[number::blocks])
        network(problem.views.plain({name: t.to(device) for name, t in batch.items()}))
    for (_, (mean, variance)), spread in zip(layers, seen, strict=True):
        spread.hook.remove()
        mean.copy_(spread.mean)
        variance.copy_(spread.total / (spread.count - 1))
    network.train(was_training)


def _statistics(module: nn.Module) -> tuple[Tensor, Tensor] | None:
    """The buffers of a batch normalisation; None of any other module."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        mean, variance = module.running_mean, module.running_var
        return None if mean is None or variance is None else (mean, variance)
    return getattr(module, "statistics", None)


class _Spread:
    """Mean and summed squared deviation of all that enters a layer, block by block.

    Blocks are joined as in Chan, Golub & LeVeque 1983, in float64.
    """

    def __init__(self, layer: nn.Module) -> None:
        self.count = 0
        self.mean = self.total = torch.zeros((), dtype=torch.float64)
        self.hook = layer.register_forward_pre_hook(self._see)

    def _see(self, layer: nn.Module, given: tuple[Tensor]) -> None:
        values = given[0].transpose(0, 1).flatten(1).cpu().double()  # (channels, all the rest)
        count = values.shape[1]
        apart = values.mean(1) - self.mean
        both = self.count + count
        self.mean = self.mean + apart * count / both
        within = values.var(1, correction=0) * count
        self.total = self.total + within + apart.square() * self.count * count / both
        self.count = both


METHODS.add(
    "adabn",
    LoopMethod(
        name="adabn",
        summary="trained on labelled records, normalised by the unlabelled ones",
        paper="Li et al. 2016, arXiv:1603.04779",
        family="adaptation",
        objective=AdaBN(),
    ),
)
