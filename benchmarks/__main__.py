"""`python -m benchmarks` is `python -m benchmarks.few_labels`."""

import sys

from benchmarks.few_labels import main

if __name__ == "__main__":
    sys.exit(main())
