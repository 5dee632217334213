"""`python -m leaven` is the command `leaven`."""

from __future__ import annotations

from leaven.cli import main

if __name__ == "__main__":
    main()
