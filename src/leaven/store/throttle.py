"""How often a sign-in may be tried: each further failure doubles the wait.

What fails is counted for a name from an address, for an address, and for a name from anywhere, so
that neither one who guesses many passwords of a person nor one who tries a password on many people
gets far. A try is counted before it is judged: of a hundred at the same moment as many pass as of
a hundred in a row. The counts are in the store, so that a restart forgets none.
"""

from __future__ import annotations

import hashlib
import ipaddress
from functools import lru_cache

from sqlalchemy import Connection, delete, insert, select, update

from leaven.store.people_tables import tries

__all__ = ["forgive", "near", "wait"]

_DAY = 86_400.0  # seconds without a failure after which it is forgotten
#: What is counted: how many failures are free, and the longest wait in seconds. Who locks a person
#: out by failing in their name, from everywhere, does so for a minute at a time.
_LIMITS = {"both": (5, 900.0), "address": (30, 900.0), "name": (100, 60.0)}


def wait(connection: Connection, name: str, address: str, now: float) -> float:
    """Count a try; returns 0 where it may be judged, else the seconds until the next may be."""
    keys = _keys(name, address)
    connection.execute(delete(tries).where(tries.c.latest < now - _DAY))
    query = select(tries).where(tries.c.what.in_(keys.values()))
    known = {row.what: row for row in connection.execute(query)}
    left = max((row.until - now for row in known.values()), default=0.0)
    if left > 0:
        return float(left)
    for kind, what in keys.items():
        failed = known[what].failed + 1 if what in known else 1
        told = {"failed": failed, "latest": now, "until": now + _pause(kind, failed)}
        if what in known:
            connection.execute(update(tries).where(tries.c.what == what).values(told))
        else:
            connection.execute(insert(tries).values(what=what, **told))
    return 0.0


def forgive(connection: Connection, name: str, address: str, now: float) -> None:
    """The try that was counted was right: it is taken off, and so are the name's from there.

    What others failed from the address stays, or one right password would buy many wrong ones.
    """
    keys = _keys(name, address)
    connection.execute(delete(tries).where(tries.c.what == keys.pop("both")))
    mine = tries.c.what.in_(keys.values())
    lower = {"failed": tries.c.failed - 1, "until": now}
    connection.execute(update(tries).where(mine, tries.c.failed > 0).values(lower))


def _pause(kind: str, failed: int) -> float:
    """Seconds after so many failures.

    >>> [_pause("both", n) for n in (5, 6, 7, 10, 99)]
    [0.0, 1.0, 2.0, 16.0, 900.0]
    """
    free, longest = _LIMITS[kind]
    return 0.0 if failed <= free else min(2.0 ** min(failed - free - 1, 60), longest)


def _keys(name: str, address: str) -> dict[str, str]:
    """What a try is counted under; hashed, for a name may be a password in the wrong field."""
    place = near(address)
    told = {"both": f"{place} {name}", "address": place, "name": name}
    return {
        kind: hashlib.sha256(f"{kind} {what}".encode("utf-8", "surrogatepass")).hexdigest()
        for kind, what in told.items()
    }


@lru_cache(maxsize=4096)  # who asks, asks often
def near(address: str) -> str:
    """The address, or of IPv6 the network that one subscriber has.

    >>> near("2001:db8:1:2:3::4"), near("::ffff:192.0.2.7"), near("unknown")
    ('2001:db8:1:2::', '192.0.2.7', 'unknown')
    """
    try:
        one = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(one, ipaddress.IPv6Address):
        if one.ipv4_mapped:
            return str(one.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(one) >> 64 << 64))
    return str(one)
