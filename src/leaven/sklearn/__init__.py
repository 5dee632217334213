"""Leaven's methods as scikit-learn estimators.

Unlabelled records are those whose label is -1, None, NaN or empty; see `docs/sklearn.md`.
"""

from __future__ import annotations

from leaven.sklearn.graphs import (
    LabelPropagation,
    LabelSpreading,
    LaplaceLearning,
    PoissonLearning,
)
from leaven.sklearn.machines import S3VM, LapSVM
from leaven.sklearn.networks import (
    AdaBNClassifier,
    AdaMatchClassifier,
    CoMatchClassifier,
    CORALClassifier,
    CRMatchClassifier,
    DANNClassifier,
    DashClassifier,
    FixMatchClassifier,
    FlexMatchClassifier,
    FreeMatchClassifier,
    GANClassifier,
    GRANDClassifier,
    ICTClassifier,
    MeanTeacherClassifier,
    MetaPseudoLabelsClassifier,
    MixMatchClassifier,
    NoisyStudentClassifier,
    PiModelClassifier,
    PseudoLabelClassifier,
    ReconstructionClassifier,
    ReMixMatchClassifier,
    SimMatchClassifier,
    SoftMatchClassifier,
    TemporalEnsemblingClassifier,
    UDAClassifier,
    VAEClassifier,
    VATClassifier,
)
from leaven.sklearn.regression import CoTrainingRegressor
from leaven.sklearn.splitting import LabelledKFold, labelled_scorer
from leaven.sklearn.wrappers import CoTraining, IterativeRefinement, SelfTraining, TriTraining

__all__ = [
    "LabelSpreading",
    "LabelPropagation",
    "LaplaceLearning",
    "PoissonLearning",
    "SelfTraining",
    "IterativeRefinement",
    "CoTraining",
    "TriTraining",
    "S3VM",
    "LapSVM",
    "AdaBNClassifier",
    "AdaMatchClassifier",
    "CoMatchClassifier",
    "CORALClassifier",
    "CRMatchClassifier",
    "DANNClassifier",
    "DashClassifier",
    "FixMatchClassifier",
    "FlexMatchClassifier",
    "FreeMatchClassifier",
    "GANClassifier",
    "GRANDClassifier",
    "ICTClassifier",
    "MeanTeacherClassifier",
    "MetaPseudoLabelsClassifier",
    "MixMatchClassifier",
    "NoisyStudentClassifier",
    "PiModelClassifier",
    "PseudoLabelClassifier",
    "ReconstructionClassifier",
    "ReMixMatchClassifier",
    "SimMatchClassifier",
    "SoftMatchClassifier",
    "TemporalEnsemblingClassifier",
    "UDAClassifier",
    "VAEClassifier",
    "VATClassifier",
    "CoTrainingRegressor",
    "LabelledKFold",
    "labelled_scorer",
]
