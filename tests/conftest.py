"""What every test may lean on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Tests are many small fits side by side: threads that wait for each other slow all of them down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests leave nothing in a home folder, and read nothing that another run has left there.
os.environ["LEAVEN_CACHE"] = "off"
# Blends would ask weights that a developer has installed.
os.environ["TABPFN_MODEL_CACHE_DIR"] = os.devnull

#: Files with tests of half a minute, servers and fits.
_LONG = {"test_scenarios.py", "test_gameday.py", "test_sealing.py", "test_loop_kills.py"}

# The time of one example says more about the machine's load than about the code.
settings.register_profile("leaven", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("leaven")


@pytest.fixture(scope="session", autouse=True)
def brief_curves() -> Iterator[int]:
    """Runs measure their learning curves by as few fits as those on the largest sets do.

    All of them are half the work of a small run. Yields what the tests of curves put back.
    """
    from leaven.evaluate import curve_plan

    with pytest.MonkeyPatch.context() as patch:
        whole = curve_plan._WORK
        patch.setattr(curve_plan, "_WORK", 0)
        yield whole


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests come first: no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.path.name not in _LONG)
