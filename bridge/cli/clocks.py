"""Whether this machine's clock agrees with those of the hosts that `doctor` asked."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from hub.host_time import HostTime

if TYPE_CHECKING:
    from hub.store.findings import Finding

WARNED: Final = 30.0
"""Seconds between two clocks: answers take a few of them, and a clock that is set by NTP is off by none."""
REFUSED: Final = 300.0
"""Seconds from which on signatures and tokens are refused by one service or another."""

_CURE: Final = "set this machine's clock, such as by NTP"


def clock_findings(clocks: Iterable[HostTime]) -> "list[Finding]":
    """One for each host whose clock is another, or one that says how many agree; none where no host said its time."""
    from hub.store.findings import Finding, Health

    hosts = {each.host: each for each in sorted(clocks, key=lambda each: abs(each.ahead))}
    if not hosts:
        return []
    found = [
        Finding(
            name=each.host,
            health=Health.FAILED if abs(each.ahead) > REFUSED else Health.WARNING,
            text=f"this machine's clock is {abs(each.ahead):.0f} s {'ahead of' if each.ahead > 0 else 'behind'} the clock "
            f"of {each.host}",
            cure=_CURE,
        )
        for each in hosts.values()
        if abs(each.ahead) > WARNED
    ]
    if found:
        return found
    text = f"this machine's clock is within {WARNED:g} s of the clock of {', '.join(sorted(hosts))}"
    return [Finding(name="clock", health=Health.OK, text=text)]
