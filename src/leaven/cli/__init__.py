"""The verbs on the command line: each command is one call on a verb, and its picture."""

from __future__ import annotations

# Their commands belong to the app.
from leaven.cli import (
    audit,
    auditing,
    canary,
    deploying,
    distilling,
    exporting,
    growing,
    health,
    label_studio,
    labelling,
    loop,
    objectives,
    people,
    pretraining,
    prometheus,
    releasing,
    scoring,
    sealing,
    serving,
    tracking,
    watching,
)
from leaven.cli.app import app, main

__all__ = [
    "app",
    "audit",
    "auditing",
    "canary",
    "deploying",
    "distilling",
    "exporting",
    "growing",
    "health",
    "label_studio",
    "labelling",
    "loop",
    "main",
    "objectives",
    "people",
    "pretraining",
    "prometheus",
    "releasing",
    "scoring",
    "sealing",
    "serving",
    "tracking",
    "watching",
]
