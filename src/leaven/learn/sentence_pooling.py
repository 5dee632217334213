"""From a text's token states to its features, as the encoder's own folder says.

Sentence encoders come with `modules.json`, a list of steps, and a folder for each: which states
are pooled and how (Reimers & Gurevych 2019, arXiv:1908.10084, section 3), a dense layer where
there is one, and whether the result is brought to unit length.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from leaven.core.errors import SettingError
from leaven.learn.pretrained import file_of

__all__ = ["SentencePooling"]

_WANTED = "a sentence encoder whose steps are Transformer, Pooling and Normalize"
# In the order in which several are joined.
_WAYS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


@dataclass(frozen=True)
class SentencePooling:
    """How states are pooled, and whether the result has unit length.

    `ways` are joined: `cls` (the first token's state), `max`, `mean`, `mean_sqrt_len_tokens` (the
    sum by the root of the number of tokens), `weightedmean` (the nth token counts n times) and
    `lasttoken`. An encoder that says nothing has the mean and unit length. `tokens` is how many
    a text may have, 0 where the encoder does not say; `lower` whether texts are lower-cased.
    """

    ways: tuple[str, ...] = ("mean",)
    unit: bool = True
    tokens: int = 0
    lower: bool = False

    @classmethod
    def of(cls, name: str) -> SentencePooling:
        """What the encoder's files say; SettingError for a step that is not known here."""
        modules = file_of(name, "modules.json")
        if not isinstance(modules, list):
            return cls()
        ways: tuple[str, ...] = ("mean",)
        unit = False
        for module in modules:
            step = str(module["type"]).rpartition(".")[2]
            if step == "Pooling":
                ways = _ways(name, file_of(name, f"{module['path']}/config.json"))
            elif step == "Normalize":
                unit = True
            elif step != "Transformer":
                fix = f"Its step {step} is not known here."
                raise SettingError("encoder", _WANTED, name, fix)
        said = file_of(name, "sentence_bert_config.json")
        said = said if isinstance(said, dict) else {}
        tokens, lower = int(said.get("max_seq_length") or 0), bool(said.get("do_lower_case"))
        return cls(ways, unit, tokens, lower)

    @property
    def settings(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    def __call__(self, states: Tensor, mask: Tensor) -> Tensor:
        """(n, width · ways) float32 features of (n, tokens, width) states.

        `mask` (n, tokens) is 1 where there is a token.
        """
        states, there = states.float(), mask.unsqueeze(-1).float()
        parts = [_pooled(way, states, there) for way in self.ways]
        joined = torch.cat(parts, -1)
        return torch.nn.functional.normalize(joined, dim=-1) if self.unit else joined


def _ways(name: str, config: Any) -> tuple[str, ...]:
    """The ways that a pooling step's configuration names, in either of its forms."""
    if not isinstance(config, dict):
        raise SettingError("encoder", _WANTED, name, "Its pooling step has no config.json.")
    said = config.get("pooling_mode")
    if isinstance(said, str):
        said = [said]
    if isinstance(said, list):
        wanted = set(said)
    else:
        known = {key: way for way, key in _WAYS.items()}
        wanted = {
            known.get(key, key)
            for key, on in config.items()
            if key.startswith("pooling_mode") and on
        }
    if not wanted or wanted - set(_WAYS):
        fix = f"It pools by {', '.join(sorted(wanted)) or 'nothing'}, which is not known here."
        raise SettingError("encoder", _WANTED, name, fix)
    return tuple(way for way in _WAYS if way in wanted)


def _pooled(way: str, states: Tensor, there: Tensor) -> Tensor:
    """(n, width) of (n, tokens, width) states, `there` (n, tokens, 1) with 1 for a token.

    Tokens stand at either end of a row, by the tokeniser's side of padding.
    """
    rows, number = torch.arange(len(states), device=states.device), there.cumsum(1)
    count = there.sum(1).clamp_min(1)
    if way == "cls":
        return states[rows, there[..., 0].argmax(1)]
    if way == "lasttoken":
        return states[rows, number[..., 0].argmax(1)]
    if way == "max":
        return states.masked_fill(there == 0, -torch.inf).amax(1)
    if way == "weightedmean":
        weights = number * there
        return (states * weights).sum(1) / weights.sum(1).clamp_min(1)
    total = (states * there).sum(1)
    return total / (count.sqrt() if way == "mean_sqrt_len_tokens" else count)
