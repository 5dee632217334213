"""A pretext: what an encoder can learn from records without labels, as one named row or file."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leaven.core.errors import SettingError
from leaven.core.registry import Registry
from leaven.learn.choices.compose import composed
from leaven.learn.encoder import ENCODERS, Encoder, listed
from leaven.learn.heads.bare import BareHead
from leaven.learn.method import Problem, Step
from leaven.learn.network import Network
from leaven.learn.objective import Objective
from leaven.learn.train import train

__all__ = ["PRETEXTS", "Pretext", "PretextObjective", "default_pretext", "serving"]


class PretextObjective(Objective):
    """An objective that reads no label: its terms are of unlabelled records alone.

    `Moment.draw` has no labelled records, and the network has no head: it gives features.
    """

    def head(self, problem: Problem, width: int) -> BareHead:
        """None."""
        return BareHead(width)


@dataclass(frozen=True)
class Pretext:
    """A named pretext objective. One instance each, registered in PRETEXTS.

    `modalities` are those whose records it can learn from, empty for all; `asks` is the kind of
    encoder it needs; `encoders` are the encoders that it begins with where none is named, by
    modality (else the modality's own); `trained_by` are settings of `Training` that suit it.
    """

    name: str
    summary: str
    paper: str
    family: str
    objective: PretextObjective
    modalities: tuple[str, ...] = ()
    asks: type = Encoder
    encoders: Mapping[str, str] = field(default_factory=dict)
    trained_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, str] | None:
        """Its choices in words, where it is composed of choices."""
        return self.objective.row

    def serves(self, modality: str) -> bool:
        """Whether it learns from records of this modality."""
        return not self.modalities or modality in self.modalities

    def encoder(self, modality: str, named: str = "") -> str:
        """The encoder it trains: the one named, or its own choice.

        Raises SettingError for records or an encoder that it cannot use.
        """
        if not self.serves(modality):
            raise SettingError(
                "pretext", f"one for {modality} records: {', '.join(serving(modality))}", self.name
            )
        from leaven.data.modality import MODALITIES

        chosen = named or self.encoders.get(modality, MODALITIES[modality].encoder)
        kind = ENCODERS[chosen]
        if not issubclass(kind, self.asks) or kind.modality != modality:
            fitting = [name for name in listed(modality) if issubclass(ENCODERS[name], self.asks)]
            wanted = f"one that {self.name} can train on {modality} records: {', '.join(fitting)}"
            raise SettingError("encoder", wanted, chosen)
        return chosen

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise SettingError or UnknownNameError for settings that `fit` could not follow."""
        composed(self.objective, settings)

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Yield each step; return the encoder, averaged over the steps, with no head.

        `problem.train` is empty. Continues from `checkpoint` if it exists.
        """
        return (yield from train(problem, composed(self.objective, problem.settings), checkpoint))


#: What `auto` takes, by modality; else SimCLR, which needs nothing but views.
_USUAL = {
    "text": "masked-language",
    "tabular": "scarf",
    "series": "ts2vec",
    "audio": "simclr",
}


def default_pretext(modality: str) -> str:
    """The pretext that is taken where none is named."""
    return _USUAL.get(modality, "simclr")


def serving(modality: str) -> list[str]:
    """The pretexts that learn from records of this modality."""
    return [name for name, pretext in PRETEXTS.items() if pretext.serves(modality)]


PRETEXTS: Registry[Pretext] = Registry("pretext", "leaven.learn.pretexts")
