"""The verbs on the command line: each command is one call on `leaven.api`, and its picture."""

from __future__ import annotations

from leaven.cli import distilling, growing, labelling, pretraining  # its commands belong to the app
from leaven.cli.app import app, main

__all__ = ["app", "distilling", "growing", "labelling", "main", "pretraining"]
