"""The report of a run: one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from leaven.core.wording import count, duration, percent, span
from leaven.evaluate.report.clean import clean, clean_shown
from leaven.evaluate.report.view import view

__all__ = ["render"]

_MOST_SHOWN = 24


def render(story: dict[str, Any], shown: dict[str, Any]) -> str:
    """The report as one self-contained HTML page.

    Parameters
    ----------
    story : what happened, as plain JSON: `run`, `dataset`, `recipe`, `recipe_toml`, `split`,
        `metrics` (of the model that ships), `method_metrics`, `per_class`, `confusion`,
        `baseline`, `verdict`, `calibration`, `training`, `confidence`, `next`, `environment`,
        `cost`. Any may be missing: the page says what was not measured.
    shown : `uncertain` and `mistakes`, lists of records with their `shown` from the modality.
        The first 24 of each are drawn.

    No script, no font, nothing loaded: the page's own policy forbids all but its style and
    inline images. Text from the data is escaped, stripped of control characters and bounded.
    """
    style = (files(__package__) / "style.css").read_text(encoding="utf-8")
    cards = {
        name: [
            {
                **clean({k: v for k, v in card.items() if k != "shown"}),
                "shown": clean_shown(card.get("shown") or {}),
            }
            for card in (shown.get(name) or [])[:_MOST_SHOWN]
        ]
        for name in ("uncertain", "mistakes")
    }
    tidy = clean(story)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            story=tidy,
            style=Markup(style),  # noqa: S704 - our own file, not data
            style_digest=digest,
            **view(tidy, cards),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("leaven.evaluate", "report"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for words in (count, duration, percent, span):
        environment.filters[words.__name__] = _defined(words)
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _defined(words: Any) -> Any:
    """The filter, with what a template finds missing or no number taken for None."""

    def filtered(value: Any, *args: Any) -> str:
        number = value if isinstance(value, int | float) else None
        return str(words(number, *args))

    return filtered
