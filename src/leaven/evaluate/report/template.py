"""A page from its template: our style, nothing loaded, everything from the data escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from leaven.core.wording import count, duration, percent, span

__all__ = ["page"]


def page(template: str, story: dict[str, Any], **view: Any) -> str:
    """The page of a cleaned story and what its view adds."""
    style = (files(__package__) / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            story=story,
            style=Markup(style),  # noqa: S704 - our own file, not data
            style_digest=digest,
            **view,
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
