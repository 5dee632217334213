"""The commands as a person types them."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

import leaven.cli.label_studio  # noqa: F401 - registers its commands
from leaven.cli import app
from tests.label_studio.server import LEGACY

__all__ = ["NAMES", "command"]

NAMES = ("barolo", "grignolino", "barbera")


def command(*words: Any, code: int = 0) -> dict[str, Any]:
    environment = {"LABEL_STUDIO_TOKEN": LEGACY}
    result = CliRunner().invoke(app, [*map(str, words), "--json"], env=environment)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)
