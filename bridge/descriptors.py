"""Open files of the process: how many there may be, and which part of them connections from outside may take."""

import sys
from contextlib import suppress

_KEPT_BACK = 256
"""At least so many are for the store, brokers, push services and health, whatever comes in."""

_FEWEST = 16


def raise_limit() -> None:
    """Raise the soft limit of open files to the hard one: what the system calls usual is meant for other programs."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # some systems call a limit unlimited and refuse it; then the old one stays
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limit() -> int:
    """How many files may be open at once."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def share(limit: int, part: float) -> int:
    """So many of `limit` connections may take to which `part` of what is not kept back belongs."""
    return max(_FEWEST, int((limit - max(_KEPT_BACK, limit // 4)) * part))
