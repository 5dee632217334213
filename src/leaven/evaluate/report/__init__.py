"""The report of a run: one HTML page that needs nothing but itself."""

from __future__ import annotations

from typing import Any

from leaven.evaluate.report.clean import clean, clean_shown
from leaven.evaluate.report.pretraining import pretrained
from leaven.evaluate.report.template import page
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
    return page("page.html.j2", tidy, pretrained=pretrained(tidy), **view(tidy, cards))
