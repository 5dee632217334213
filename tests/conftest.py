"""What every test may lean on."""

from __future__ import annotations

from hypothesis import settings

# The time of one example says more about the machine's load than about the code.
settings.register_profile("leaven", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("leaven")
