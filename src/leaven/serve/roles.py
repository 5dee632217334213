"""What each role may ask of our servers. What is not in a table is asked of nobody."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ANYBODY", "MODELS", "ROUTES", "methods", "template"]

ANYBODY = ""  # also who is not signed in

#: The least role for each method and path of the review pages, see `leaven.store.people.ROLES`.
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

#: The same for the server of models; `*` stands for any one part of a path.
MODELS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("GET", "/v2/health/live"): ANYBODY,
        ("GET", "/v2/health/ready"): ANYBODY,
        ("GET", "/v2"): "viewer",
        ("GET", "/v2/models/*"): "viewer",
        ("GET", "/v2/models/*/ready"): "viewer",
        ("POST", "/v2/models/*/infer"): "viewer",
        ("GET", "/v2/models/*/versions/*"): "viewer",
        ("GET", "/v2/models/*/versions/*/ready"): "viewer",
        ("POST", "/v2/models/*/versions/*/infer"): "viewer",
        ("POST", "/predict"): "viewer",
        ("POST", "/feedback"): "annotator",
        ("GET", "/status"): "viewer",
        ("GET", "/metrics"): "viewer",
        ("GET", "/dashboards"): "viewer",
        ("GET", "/dashboards/style.css"): "viewer",
        ("GET", "/dashboards/executive"): "viewer",
        ("GET", "/dashboards/on-call"): "viewer",
        ("GET", "/dashboards/debug"): "viewer",
        ("GET", "/dashboards/predictions"): "viewer",
        ("GET", "/openapi.json"): "viewer",
    }
)


def methods(path: str, table: Mapping[tuple[str, str], str] = ROUTES) -> list[str]:
    """What may be asked of a path; nothing of one that is not in the table.

    >>> methods("/sign-in"), methods("/elsewhere")
    (['GET', 'POST'], [])
    """
    return [method for method, known in table if known == path]


def template(path: str) -> str:
    """The path as it stands in `MODELS`.

    >>> template("/v2/models/tickets/infer"), template("/predict")
    ('/v2/models/*/infer', '/predict')
    """
    parts = path.split("/")
    if parts[:3] == ["", "v2", "models"]:
        for place, before in ((3, "models"), (5, "versions")):
            if len(parts) > place and parts[place] and parts[place - 1] == before:
                parts[place] = "*"
    return "/".join(parts)
