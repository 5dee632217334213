"""What the names of the classes say: words that are read like a record, and which one is a "no".

Who names a class "card arrival" has described it, and where labels are few that is worth one more
labelled record of each class, as in zero-shot classification by sentence vectors (Yin, Hay & Roth
2019, arXiv:1909.00161, section 3; label names as the only supervision: Meng et al. 2020,
arXiv:2010.07245). Codes say nothing.

Two classes that answer a question by yes and no tell more: what is asked for, a fault, a fraud, a
customer who leaves, is most often the rarer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["saying_no", "spoken"]

_LEAST = 2  # letters of a word that says something
#: Words for "there is none of it", and those of an answer that goes with the first ones alone.
_NONE = {"normal", "ok", "good", "healthy", "benign", "regular", "legitimate", "genuine", "none"}
_NO, _YES = {"0", "0.0", "no", "n", "false", "f"}, {"1", "1.0", "yes", "y", "true", "t"}
_MOST = 0.9  # of the names have such a word: among many a code may be, as "W2" among intents


def spoken(classes: Sequence[str]) -> list[str]:
    """The names as words in lower case, in the same order; empty where they tell nothing apart.

    Numbers and codes that differ by a number alone are such, and so are a few names among codes.

    >>> spoken(["card_arrival", "sci.space", "topUpFailed"])
    ['card arrival', 'sci space', 'top up failed']
    >>> spoken(["category_4", "category_5"]), spoken(["0", "1"]), spoken(["sport", "7"])
    ([], [], [])
    """
    apart = [re.sub(r"(?<=[^\W\d_])(?<![A-Z])(?=[A-Z])", " ", name) for name in classes]
    words = [" ".join(re.findall(r"[^\W_]+", name)).lower() for name in apart]
    telling = [" ".join(re.findall(rf"[^\W\d_]{{{_LEAST},}}", name)) for name in words]
    told = [name for name in telling if name]
    distinct = len(set(told)) == len(told) > 1 and len(set(words)) == len(words)
    return words if distinct and len(told) >= _MOST * len(words) and all(words) else []


def saying_no(classes: Sequence[str]) -> int | None:
    """Which of two classes says that there is nothing of what is asked for; None if neither does.

    >>> saying_no(["no", "yes"]), saying_no(["True", "False"]), saying_no(["1", "0"])
    (0, 1, 1)
    >>> saying_no(["fraud", "legitimate"]), saying_no(["spring", "autumn"]), saying_no(["0", "2"])
    (1, None, None)
    """
    if len(classes) != 2:
        return None
    words = [name.strip().lower() for name in classes]
    for one, other in ((0, 1), (1, 0)):
        answers = words[one] in _NO and words[other] in _YES
        if answers or (words[one] in _NONE and words[other] not in _NONE):
            return one
    return None
