"""Parts of a page of results: tables, where they come from, and the place on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

__all__ = ["provenance", "put", "table"]


def put(page: str, name: str, part: str) -> str:
    """The page with its part of that name replaced, or added at the end.

    >>> put("# Title", "figures", "new")
    '# Title\\n\\n<!-- figures -->\\nnew\\n<!-- /figures -->\\n'
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    whole = f"{start}\n{part.strip()}\n{end}"
    if start in page and end in page:
        before, _, rest = page.partition(start)
        return before + whole + rest.partition(end)[2]
    return f"{page.rstrip()}\n\n{whole}\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    """A Markdown table whose first `words` columns hold words and the others numbers."""
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def provenance(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """What the figures of these rows belong to: hardware, load, commit, versions, days."""
    machines = Counter(
        f"{row['machine']['cpu']}, {row['machine']['cores']} cores, "
        f"{row['machine']['memory_gb']} GB, {row['machine']['system']}"
        for row in rows
    )
    loads = [row["machine"]["load"] for row in rows]
    packages = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in row["versions"].items()) for row in rows
    )
    days = sorted(row["at"][:10] for row in rows)
    return {
        "Hardware": "; ".join(machines),
        "Load when a fit began": f"{median(loads):.1f} (median), {max(loads):.1f} at most",
        "Commit (a `+` marks uncommitted changes)": _counted(
            Counter(row["commit"] or "none" for row in rows)
        ),
        "Versions": "; ".join(packages),
        "When": days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}",
    }


def _counted(commits: Counter[str]) -> str:
    """The commits; with the number of their fits where there are several."""
    if len(commits) == 1:
        return next(iter(commits))
    return ", ".join(f"{name} ({n} fits)" for name, n in commits.items())
