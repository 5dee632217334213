"""scikit-learn's own checks of an estimator.

In full for every estimator that is not a network, and for three that are: a row of choices, an
objective of its own, a method of domain adaptation. The other networks share all code of the
estimator with these; `test_networks.py` fits each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.base import ClassifierMixin
from sklearn.utils.estimator_checks import parametrize_with_checks

import leaven.sklearn
from leaven.sklearn import (
    AdaBNClassifier,
    FixMatchClassifier,
    GANClassifier,
)
from leaven.sklearn.network import NetworkClassifier

CLASSES = [
    kind
    for name in leaven.sklearn.__all__
    if isinstance(kind := getattr(leaven.sklearn, name), type) and issubclass(kind, ClassifierMixin)
]
CLASSIC = [kind for kind in CLASSES if not issubclass(kind, NetworkClassifier)]
NETWORKS = [kind(steps=12) for kind in (FixMatchClassifier, GANClassifier, AdaBNClassifier)]

MINUS_ONE = "it uses -1 as a class, which means unlabelled; it excuses scikit-learn's own by name"
NODES = "a record given twice is two nodes of the graph; a weight is that of one node's label"
SCALE = "records are brought to a scale by their own mean, in which a repeated one counts twice"
DRAWN = "columns are dealt by a statistic that counts repeated records twice"
BOOTSTRAP = "bootstrap samples are drawn from the records, of which there are more when repeated"

#: Estimator, check, and the reason why it cannot pass. A check that passes after all is an error.
FAILED = {
    **{(kind.__name__, "check_classifiers_classes"): MINUS_ONE for kind in CLASSES},
    **{
        (name, f"check_sample_weight_equivalence_on_{how}_data"): reason
        for how in ("dense", "sparse")
        for name, reason in {
            "LabelPropagation": NODES,
            "LabelSpreading": NODES,
            "LaplaceLearning": NODES,
            "PoissonLearning": NODES,
            "S3VM": SCALE,
            "LapSVM": SCALE,
            "CoTraining": DRAWN,
            "TriTraining": BOOTSTRAP,
        }.items()
    },
}
for excused in ("LabelPropagation", "LabelSpreading"):
    FAILED.pop((excused, "check_classifiers_classes"), None)


def reasons(estimator: Any) -> dict[str, str]:
    """The checks that this estimator cannot pass."""
    name = type(estimator).__name__
    return {check: reason for (kind, check), reason in FAILED.items() if kind == name}


@pytest.mark.filterwarnings("ignore:Every record has a label:UserWarning")
@parametrize_with_checks([*(kind() for kind in CLASSIC), *NETWORKS], expected_failed_checks=reasons)
def test_it_is_an_estimator_as_scikit_learn_means_it(estimator: Any, check: Callable[[Any], None]):
    check(estimator)
