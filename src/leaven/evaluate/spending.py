"""What work takes of a machine: time, processors, a GPU, memory; and caps at which it stops."""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GIGABYTE", "HOUR", "Caps", "Meter", "Spent", "cpu_now", "memory_now"]

GIGABYTE, HOUR = 1e9, 3600.0
#: In which the system tells the highest memory of a process.
_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Spent:
    """Seconds of wall clock and of all processors together, seconds for which the process held a
    GPU, and the most memory that it had, in bytes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True)
class Caps:
    """What work may take at most; None for no limit.

    `memory` is in bytes. `money` is reckoned by the prices of an hour of CPU and of GPU, and named
    in `currency`.
    """

    cpu_seconds: float | None = None
    memory: float | None = None
    money: float | None = None
    cpu_hour: float = 0.0
    gpu_hour: float = 0.0
    currency: str = ""

    def reached(self, spent: Spent, memory: int) -> str:
        """Which of them is reached, as a sentence; "" while none is.

        `memory` is the most that this process had, in bytes.

        >>> Caps(cpu_seconds=36).reached(Spent(cpu_seconds=40), 0)
        "'cpu_hours' is reached: 0.01 were allowed, 0.01111 are used."
        """
        cost = (spent.cpu_seconds * self.cpu_hour + spent.gpu_seconds * self.gpu_hour) / HOUR
        for name, most, used, unit, what in (
            ("cpu_hours", self.cpu_seconds, spent.cpu_seconds, HOUR, ""),
            ("memory", self.memory, float(memory), GIGABYTE, " GB"),
            ("money", self.money, cost, 1.0, f" {self.currency}".rstrip()),
        ):
            if most is not None and used >= most:
                return (
                    f"'{name}' is reached: {most / unit:.4g}{what} were allowed, "
                    f"{used / unit:.4g}{what} are used."
                )
        return ""


class Meter:
    """Measures what this process takes from now on, after what others took `before`.

    Processes that this one began count once they have ended. A GPU counts from when it is first
    found in use. The highest memory is exact where it grew since, else that of the moments at
    which it was asked for.
    """

    def __init__(self, before: Spent) -> None:
        self._before = before
        self._since, self._cpu, self._peak = time.monotonic(), cpu_now(), _peak()
        self._gpu_since: float | None = None
        self._seen = before.peak_bytes

    @property
    def seconds(self) -> float:
        """Seconds of wall clock so far."""
        return self._before.seconds + time.monotonic() - self._since

    @property
    def memory(self) -> int:
        """The most memory of this process since, in bytes."""
        peak = _peak()
        return max(memory_now(), peak if peak > self._peak else 0)

    def spent(self) -> Spent:
        """All of it so far."""
        now = time.monotonic()
        if self._gpu_since is None and _holds_gpu():
            self._gpu_since = now
        held = 0.0 if self._gpu_since is None else now - self._gpu_since
        self._seen = max(self._seen, self.memory)
        return Spent(
            self.seconds,
            self._before.cpu_seconds + cpu_now() - self._cpu,
            self._before.gpu_seconds + held,
            self._seen,
        )


def cpu_now() -> float:
    """CPU seconds of this process so far, and of those that it began and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def memory_now() -> int:
    """Bytes of memory that this process has now; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def _peak() -> int:
    # What getrusage tells a process begins with the peak of the one that began it.
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _holds_gpu() -> bool:
    torch = sys.modules.get("torch")  # who has not loaded it holds none
    return bool(torch is not None and torch.cuda.is_initialized())
