"""What was asked of a fit, as typed configuration that round-trips through TOML."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from leaven.core.budget import Budget
from leaven.core.errors import SettingError
from leaven.core.typed import built

__all__ = ["Recipe", "Setting", "Training"]


#: What a recipe may say of one field of an objective.
Setting = bool | int | float | str | list[str]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Training(_Strict):
    """How the loop steps. The defaults are for minutes on a processor, not days on a cluster.

    `labelled_batch` records and `unlabelled_ratio` times as many unlabelled ones a step;
    `rate` is AdamW's peak learning rate, reached after `warm_up` (a share of the steps) and
    lowered along a cosine to zero; `average` is the decay of the averaged weights; `clip` the
    largest gradient norm; `most_steps` ends a fit early when the budget would buy more.

    `labelled_draw` is `even` (every labelled record equally often) or `balanced` (every class);
    `unlabelled_draw` is `even` or `near` (records near labelled ones more often);
    `most_unlabelled` caps the unlabelled records at a random part of them, 0 for no cap.

    `adapt` says what of an encoder learns: `full` (all of it), `head` (none of it), `partial` (the
    topmost `unfrozen` layers), `lora` (low-rank changes of its matrices, of rank `rank`) or
    `adapters` (small added layers, as wide as `rank`); `layer_decay` multiplies the rate once more
    for each layer below the topmost. `label_smoothing` is the share of a label that is spread over
    all classes, `dropout` the share of the features that the head is not shown.

    Pretraining draws `pretrain_batch` records a step.

    `schedule` is how the rate falls: `cosine` (in `restarts` cycles), `staged` or `constant`. A
    step adds up the gradients of `accumulate` batches. A training ends early when its loss has
    not fallen for the share `patience` of the steps, 0 for never.
    """

    labelled_batch: int = Field(32, ge=1, le=65536)
    unlabelled_ratio: int = Field(4, ge=1, le=64)
    rate: float = Field(2e-3, gt=0, le=10)
    warm_up: float = Field(0.05, ge=0, le=0.9)
    weight_decay: float = Field(0.02, ge=0, le=1)
    average: float = Field(0.999, ge=0, lt=1)
    clip: float = Field(1.0, gt=0)
    precision: str = Field("auto", pattern="^(auto|32-true|bf16-mixed)$")
    most_steps: int = Field(20_000, ge=1)
    labelled_draw: str = Field("even", pattern="^(even|balanced)$")
    unlabelled_draw: str = Field("even", pattern="^(even|near)$")
    most_unlabelled: int = Field(0, ge=0)
    adapt: str = Field("full", pattern="^(full|head|partial|lora|adapters)$")
    unfrozen: int = Field(1, ge=1, le=100)
    rank: int = Field(8, ge=1, le=256)
    layer_decay: float = Field(1.0, gt=0, le=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    pretrain_batch: int = Field(128, ge=4, le=65536)
    schedule: str = Field("cosine", pattern="^(cosine|staged|constant)$")
    restarts: int = Field(1, ge=1, le=100)
    accumulate: int = Field(1, ge=1, le=1024)
    patience: float = Field(0.0, ge=0, le=1)


class Recipe(_Strict):
    """Method, encoder, seed, budget and training settings of one run.

    `pretext` names a self-supervised objective that the encoder begins with.
    `rewrite` says texts otherwise for strong views: `context`, a folder of a masked language
    model, or the name of a function. `objective` replaces settings of the method's objective by
    name, choices written as `leaven methods --table` prints them:
    `{"accept": ["AtLeast(0.8)", "LowEntropy(0.5)"]}`. `shares` are those of the classes among all
    records, where they are known: `{"fraud": 0.04}`. With `tune` a method that can searches for
    the settings of its parts, within the budget.

    >>> Recipe.from_toml(Recipe(method="fixmatch").to_toml()) == Recipe(method="fixmatch")
    True
    >>> Recipe.from_toml('methd = "fixmatch"')
    Traceback (most recent call last):
    leaven.core.errors.UnknownNameError: 'recipe key' must be one of: budget, encoder, \
method, modality, objective, pretext, rewrite, seed, shares, task, training, tune. Got 'methd'. \
Did you mean 'method'?
    """

    task: str = "classification"
    modality: str = ""
    method: str = "auto"
    encoder: str = ""
    seed: int = Field(0, ge=0, lt=2**31)
    budget: str = "5m"
    rewrite: str = ""
    pretext: str = ""
    tune: bool = False
    training: Training = Training()
    objective: dict[str, Setting] = Field(default_factory=dict)
    shares: dict[str, float] = Field(default_factory=dict)

    @field_validator("budget")
    @classmethod
    def _budget(cls, value: str) -> str:
        return str(Budget.parse(value))

    @classmethod
    def build(cls, values: dict[str, Any]) -> Recipe:
        """From plain values; SettingError or UnknownNameError says which one is wrong."""
        return built(cls, values, "recipe key")

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """Parse what `to_toml` writes, or what a person wrote."""
        try:
            return cls.build(tomllib.loads(text))
        except tomllib.TOMLDecodeError as broken:
            raise SettingError("recipe", "valid TOML", str(broken)) from None

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a recipe file."""
        try:
            return cls.from_toml(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as missing:
            raise SettingError("recipe", "a readable TOML file", str(path)) from missing

    def to_toml(self) -> str:
        """The whole recipe, defaults written out."""
        values = self.model_dump()
        tables = {name: values.pop(name) for name in ("training", "objective", "shares")}
        lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
        for name, table in tables.items():
            if table:
                lines += ["", f"[{name}]"]
                lines += [f"{_key(key)} = {_toml(value)}" for key, value in table.items()]
        return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """Bare where TOML allows it: a class may be called anything."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: Setting) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # TOML's basic strings escape as JSON's do
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return repr(value)
