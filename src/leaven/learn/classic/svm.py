"""Large-margin machines on the labelled records alone: the baselines of S3VM and LapSVM.

Squared hinge, one class against the rest, fitted in the primal (Chapelle 2007): the loss, kernel
and penalty of its semi-supervised relatives, without their term for unlabelled records.

Use it as their control: `svm` with the Gaussian kernel of `lapsvm`, `svm-linear` with the plane of
`s3vm`.

It fails as every supervised method does where a few labels are no fair picture of their classes.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass

from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head
from leaven.learn.machines import fit_svm
from leaven.learn.method import METHODS, Step

__all__ = ["SVM", "LinearSVM"]


@dataclass(frozen=True)
class SVM(ClassicMethod):
    """The settings of `fit_svm`."""

    kernel: str = "rbf"
    gamma: float = 0.0
    degree: int = 3
    penalty: float = 0.01
    landmarks: int = 500

    name = baseline = "svm"
    summary = "large-margin machine of labelled records on frozen features"
    paper = "Chapelle 2007, Neural Computation 19"
    family = "machines"
    unlabelled = False

    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        """One step."""
        machine = fit_svm(
            known.features, known.targets, known.classes,
            weights=known.weights, seed=known.seed, **asdict(self),
        )  # fmt: skip
        yield Step(1, 1)
        return machine.head()


@dataclass(frozen=True)
class LinearSVM(SVM):
    """The same with the defaults of S3VM."""

    kernel: str = "linear"
    penalty: float = 0.1

    name = baseline = "svm-linear"
    summary = "linear large-margin machine of labelled records on frozen features"


METHODS.add("svm", SVM())
METHODS.add("svm-linear", LinearSVM())
