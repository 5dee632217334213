"""Makes the environment that the tests of Label Studio start their server from.

`python tests/label_studio/make_server.py` installs label-studio into an environment of its own, at
`$LEAVEN_LABEL_STUDIO` or `~/.cache/leaven-tests/label-studio`; it takes some minutes and 1.5 GB.
`--wheel FILE` takes the package itself from a file, its dependencies come from the index.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "1.23.2"

#: Sends nothing anywhere: analytics, error reports and the look for newer versions are off.
QUIET = {
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "COLLECT_ANALYTICS": "false",
    "collect_analytics": "false",
    "LATEST_VERSION_CHECK": "false",
    "FEATURE_FLAGS_OFFLINE": "true",
}
DATABASE = "label_studio.sqlite3"


def home() -> Path:
    """The folder of the environment, whether it is there or not."""
    named = os.environ.get("LEAVEN_LABEL_STUDIO")
    return Path(named) if named else Path.home() / ".cache" / "leaven-tests" / "label-studio"


def python() -> Path:
    """The interpreter of that environment."""
    return home() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment() -> dict[str, str]:
    """The variables that its processes get."""
    ours = ("PYTHON", "VIRTUAL_ENV", "DJANGO")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | QUIET


def make_database() -> None:
    """An empty database with all its tables, which takes a minute and is copied by each server."""
    empty = home() / "empty"
    empty.mkdir(exist_ok=True)
    subprocess.run(
        [python(), "-m", "label_studio.server", "version", "--data-dir", empty],
        check=True, env=environment(), cwd=empty, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--wheel", type=Path, help=f"a wheel of label-studio {VERSION}")
    wheel: Path | None = words.parse_args().wheel
    venv.create(home(), with_pip=True)
    what = f"label-studio=={VERSION}" if wheel is None else str(wheel.resolve())
    subprocess.run([python(), "-m", "pip", "install", "--quiet", what], check=True)
    make_database()
    (home() / "complete").write_text(f"label-studio {VERSION}\n")
    print(f"label-studio {VERSION} is at {home()}", file=sys.stderr)


if __name__ == "__main__":
    main()
