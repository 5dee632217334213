"""`leaven` with a guard that looks twice a second, not every ten: for tests that wait for it."""

from leaven.cli import main
from leaven.serve.models.guarding import GuardWatch

assert GuardWatch.__init__.__kwdefaults__
GuardWatch.__init__.__kwdefaults__["every"] = 0.5

if __name__ == "__main__":
    main()
