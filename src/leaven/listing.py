"""What can be named: methods, pretexts, the choices that rows are composed of, encoders."""

from __future__ import annotations

from typing import Any

__all__ = ["choices", "encoders", "methods", "pretexts"]


def methods() -> list[dict[str, Any]]:
    """All methods, family by family: name, summary, paper, whether they read unlabelled records."""
    from leaven.learn.method import METHODS

    return [
        {
            "name": name,
            "family": method.family,
            "summary": method.summary,
            "paper": method.paper,
            "unlabelled": method.unlabelled,
            "baseline": method.baseline,
            "extra": method.extra,
            "row": method.row,
        }
        for name, method in sorted(METHODS.items(), key=lambda pair: (pair[1].family, pair[0]))
    ]


def pretexts() -> list[dict[str, Any]]:
    """All self-supervised objectives: name, family, summary, paper, modalities and row."""
    from leaven.learn.pretext import PRETEXTS

    return [
        {
            "name": name,
            "family": pretext.family,
            "summary": pretext.summary,
            "paper": pretext.paper,
            "modalities": list(pretext.modalities),
            "row": pretext.row,
        }
        for name, pretext in sorted(PRETEXTS.items(), key=lambda pair: (pair[1].family, pair[0]))
    ]


def choices() -> list[dict[str, str]]:
    """What rows are composed of: part, name, how it is written with its defaults, summary."""
    from leaven.learn.choices.choice import PARTS
    from leaven.learn.choices.compose import in_words

    return [
        {
            "part": part,
            "name": name,
            "written": in_words(kind()),
            "summary": (kind.__doc__ or "").partition("\n\n")[0].replace("\n    ", " "),
        }
        for part, registry in PARTS.items()
        for name, kind in registry.items()
    ]


def encoders() -> list[dict[str, Any]]:
    """All encoders of Leaven's own: name, modality, size, weights, ready, summary.

    `weights` are those that learn, for records as they often are (None where that is not known);
    `ready` says whether the features need no training.
    """
    from leaven.learn.encoder import ENCODERS, listed
    from leaven.learn.sizes import weights

    return [
        {
            "name": name,
            "modality": ENCODERS[name].modality,
            "size": ENCODERS[name].size,
            "weights": weights(name),
            "ready": ENCODERS[name].ready,
            "summary": ENCODERS[name].summary,
        }
        for name in listed()
    ]
