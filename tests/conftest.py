"""What every test may lean on."""

from __future__ import annotations

import os

from hypothesis import settings

# Tests are many small fits side by side: threads that wait for each other slow all of them down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests leave nothing in a home folder, and read nothing that another run has left there.
os.environ["LEAVEN_CACHE"] = "off"

# The time of one example says more about the machine's load than about the code.
settings.register_profile("leaven", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("leaven")
