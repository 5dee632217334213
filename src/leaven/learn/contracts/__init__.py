"""What everything registered must keep, as checks that its author can run.

    >>> from leaven.learn.contracts import check_method
    >>> check_method("logistic")[-1]
    'beats chance'

The tests run these lists over the whole registries, so whatever is added is held to them by its
name alone. A check that does not apply is passed over for a reason that stands in its row; a
method that may break one stands, with its reason, in `EXCLUDED`.
"""

from __future__ import annotations

from leaven.learn.contracts.check import BrokenContract, Check
from leaven.learn.contracts.encoders import ENCODER_CHECKS, check_encoder
from leaven.learn.contracts.methods import (
    EXCLUDED,
    METHOD_CHECKS,
    Made,
    check_method,
    made_problem,
)
from leaven.learn.contracts.modalities import MODALITY_CHECKS, check_modality
from leaven.learn.contracts.pretexts import PRETEXT_CHECKS, PRETEXT_EXCLUDED, check_pretext

__all__ = [
    "ENCODER_CHECKS",
    "EXCLUDED",
    "METHOD_CHECKS",
    "MODALITY_CHECKS",
    "PRETEXT_CHECKS",
    "PRETEXT_EXCLUDED",
    "BrokenContract",
    "Check",
    "Made",
    "check_encoder",
    "check_method",
    "check_modality",
    "check_pretext",
    "made_problem",
]
