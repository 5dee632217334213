"""What each role may ask of the server. What is not in the table is asked of nobody."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ANYBODY", "ROUTES", "methods"]

ANYBODY = ""  # also who is not signed in

#: The least role for each method and path, see `leaven.store.people.ROLES`.
ROUTES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("GET", "/sign-in"): ANYBODY,
        ("POST", "/sign-in"): ANYBODY,
        ("GET", "/welcome"): ANYBODY,
        ("POST", "/welcome"): ANYBODY,
        ("GET", "/"): "viewer",  # who may not answer is sent on to the progress
        ("GET", "/progress"): "viewer",
        ("GET", "/progress.json"): "viewer",
        ("GET", "/cards"): "viewer",
        ("GET", "/account"): "viewer",
        ("POST", "/account"): "viewer",
        ("POST", "/sign-out"): "viewer",
        ("POST", "/tasks"): "annotator",
        ("POST", "/answer"): "annotator",
        ("POST", "/undo"): "annotator",
        ("POST", "/leave"): "annotator",
        ("GET", "/settle"): "reviewer",
        ("POST", "/settle/tasks"): "reviewer",
        ("POST", "/settle/answer"): "reviewer",
        ("POST", "/settle/undo"): "reviewer",
        ("POST", "/settle/leave"): "reviewer",
        ("POST", "/settle/again"): "reviewer",
        ("GET", "/said"): "reviewer",
        ("GET", "/users"): "admin",
        ("POST", "/users/add"): "admin",
        ("POST", "/users/role"): "admin",
        ("POST", "/users/disable"): "admin",
        ("POST", "/users/enable"): "admin",
        ("POST", "/users/invite"): "admin",
        ("POST", "/tokens/new"): "admin",
        ("POST", "/tokens/revoke"): "admin",
    }
)


def methods(path: str) -> list[str]:
    """What may be asked of a path; nothing of one that is not in the table.

    >>> methods("/sign-in"), methods("/elsewhere")
    (['GET', 'POST'], [])
    """
    return [method for method, known in ROUTES if known == path]
