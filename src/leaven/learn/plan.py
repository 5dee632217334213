"""Which recipe: what a fit without settings does, and the reason it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaven.core.errors import SettingError
from leaven.core.recipe import Recipe, Setting, Training
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.blending import BlendMethod
from leaven.learn.encoder import ENCODERS, listed
from leaven.learn.method import METHODS
from leaven.learn.sizes import AUTO, named
from leaven.learn.start import Start

__all__ = ["Plan", "plan", "suited"]


@dataclass(frozen=True)
class _Wish:
    """A method that is better than the plain choice where there is enough for it."""

    method: str
    labels: int
    steps: int
    why: str


#: What a fit without settings takes. A blend needs neither many labels nor steps, and holds what
#: one would try one after the other; the answers of a graph come along its edges.
_PLAIN = {
    "": ("blend", "several methods, mixed by what is known of each; it needs few labels"),
    "graph": ("correct-smooth", "what a linear model says is mended and smoothed along the edges"),
}
_BY_RULES = ("weak-labels", "what rules say of records is learnt beside the labels")
#: Networks in place of that, from how many labels and steps on they are worth it. Of texts none is
#: taken: what it gains on some it loses on others (`docs/choice.md` has the figures).
_WISHES = {
    "graph": _Wish("grand", 20, 100, "the graph says of each node what its neighbours are"),
}


@dataclass(frozen=True)
class Plan:
    """A recipe with nothing left to choose, and the sentence that says why.

    `steps` is the fewest a final fit must get for the choice to stand; 0 for any.
    """

    recipe: Recipe
    reason: str
    steps: int = 0


def plan(
    recipe: Recipe,
    dataset: Dataset,
    extracted: bool,
    plain: bool = False,
    start: Start | None = None,
) -> Plan:
    """Fill in what the recipe leaves open: method `auto`, encoder (`auto`, a size), modality.

    `extracted` says that the encoder named is a frozen extractor, whose features are records of
    the modality `embedding`; `plain` that the budget is too small for a network; `start` is the
    pretrained encoder that is named, or that the recipe's pretext has made. Raises
    UnknownNameError for a method or a setting that does not exist, SettingError for a setting that
    does not fit, for an untrained encoder with a method that trains none, and for `tune` with a
    method that has no search; MissingExtraError for `tune` without the extra of this name.
    """
    views = "embedding" if extracted else dataset.modality
    if start is not None:
        views = start.front.views.name
    method, reason, steps = recipe.method, f"{recipe.method} was asked for", 0
    if method == "auto" and recipe.objective:
        raise SettingError("method", "the name of the one whose objective is to change", "auto")
    if method == "auto":
        wish = _WISHES.get(views)
        method, why = _PLAIN.get(views, _PLAIN[""])
        if dataset.votes is not None and not METHODS[method].reads_votes:
            method, why = _BY_RULES
        reason = f"{method}: {why}"
        # A blend is what can be searched, and what reads the votes of rules.
        worth = not plain and not recipe.tune and dataset.votes is None
        if wish is not None and worth and len(dataset.labelled) >= wish.labels:
            method, reason, steps = wish.method, f"{wish.method}: {wish.why}", wish.steps
    elif dataset.votes is not None and not METHODS[method].reads_votes:
        reading = ", ".join(name for name in METHODS if METHODS[name].reads_votes)
        raise SettingError("method", f"one that reads what rules say: {reading}", method)
    settings = recipe.objective
    if METHODS[method].unlabelled and not len(dataset.unlabelled):
        reason = f"every record has a label, so there is nothing for {method} to learn more from"
        method, steps, settings = METHODS[method].baseline, 0, {}
    METHODS[method].check(settings | _tuned(method) if recipe.tune else settings)
    if METHODS[method].modalities and views not in METHODS[method].modalities:
        serves = ", ".join(METHODS[method].modalities)
        raise SettingError("method", f"one for {views} records; {method} is for: {serves}", method)
    encoder = recipe.encoder
    if start is not None:
        encoder = start.encoder.name
    elif not encoder or extracted or (encoder == AUTO and not METHODS[method].stepped):
        encoder = METHODS[method].default_encoder(MODALITIES[views])
    else:
        encoder, why = named(encoder, views, len(dataset.labelled), len(dataset))
        reason = f"{reason}; {why}" if why else reason
    if not METHODS[method].stepped and start is None and not ENCODERS[encoder].ready:
        ready = [name for name in listed(views) if ENCODERS[name].ready]
        raise SettingError(
            "encoder",
            f"one whose features need no training, for {method} trains none: {', '.join(ready)}",
            encoder,
        )
    filled: dict[str, Any] = {"method": method, "encoder": encoder, "modality": dataset.modality}
    filled |= {"objective": settings, "training": suited(recipe.training, encoder)}
    return Plan(recipe.model_copy(update=filled), reason, steps)


def _tuned(method: str) -> dict[str, Setting]:
    """What stands for a search in a method's settings; SettingError where it knows none."""
    if isinstance(METHODS[method], BlendMethod):
        return {"trials": 1}
    blends = ", ".join(name for name in METHODS if isinstance(METHODS[name], BlendMethod))
    fix = f"Methods with a search: {blends}."
    raise SettingError("tune", f"false for {method}, which has no search for settings", True, fix)


def suited(training: Training, encoder: str, also: Mapping[str, Any] | None = None) -> Training:
    """The training settings, those left at their defaults replaced by what suits the encoder.

    `also` are further ones that suit what trains it; they go before the encoder's.
    """
    default = Training()
    own = {
        name: value
        for name, value in {**ENCODERS[encoder].trained_by, **(also or {})}.items()
        if getattr(training, name) == getattr(default, name)
    }
    return training.model_copy(update=own)
