"""A breaker for each host of a service whose push channels are addresses: a host that fails stops no other."""

from dataclasses import dataclass

_TRIPS_AFTER = 20
"""Failures in a row, without one success between, that open a host's breaker."""

_PROBES = 10
"""Pushes let through at a time when the pause is over."""

_PROBING = 10.0
"""Seconds within which the probes are answered; no more are let through before."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0

_FORGOTTEN = 600.0
"""Seconds without another failure after which a host is not in trouble any more: its phones may all be gone."""

_MOST = 1024
"""Hosts in trouble that are remembered; a stranger may register addresses that never answer."""


@dataclass(slots=True)
class _Host:
    words: str
    failures: int = 0
    pause: float = _FIRST_PAUSE
    closed_until: float = 0.0
    failed_at: float = 0.0
    is_probing: bool = False

    @property
    def is_open(self) -> bool:
        return self.failures >= _TRIPS_AFTER


class HostBreakers:
    """The hosts in trouble, each with its breaker. Times are seconds since 1970 UTC; `now` is an argument."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    def __len__(self) -> int:
        return len(self._hosts)

    @property
    def open_host(self) -> str:
        """The host whose breaker is open and closes first, empty if none is."""
        is_open = [(host.closed_until, name) for name, host in self._hosts.items() if host.is_open]
        return min(is_open)[1] if is_open else ""

    @property
    def trouble(self) -> str:
        """What is wrong at a host with an open breaker, else at the first in trouble; empty if none is."""
        name = self.open_host or next(iter(self._hosts), "")
        return f"{name}: {self._hosts[name].words}" if name else ""

    def reopens_at(self, name: str) -> float:
        """Until when a host gets nothing; 0 if it is not in trouble."""
        host = self._hosts.get(name)
        return 0.0 if host is None else host.closed_until

    def failed(self, name: str, words: str, now: float) -> None:
        """A host did not answer or was in trouble: after many failures in a row it is paused, twice as long each time."""
        host = self._known(name, words)
        host.words, host.failed_at = words, now
        host.failures += 1
        # Late answers of pushes sent before do not lengthen the pause.
        if host.is_open and (host.is_probing or now >= host.closed_until):
            host.is_probing = False
            host.closed_until = now + host.pause
            host.pause = min(host.pause * 2, _LONGEST_PAUSE)

    def throttled(self, name: str, words: str, until: float, now: float) -> None:
        """A host asks for a wait: it gets nothing until then, and a few pushes first after it."""
        host = self._known(name, words)
        host.words, host.failed_at = words, now
        host.failures = max(host.failures, _TRIPS_AFTER)
        host.is_probing = False
        host.closed_until = max(host.closed_until, until)

    def succeeded(self, name: str) -> None:
        """Any verdict on a single channel shows a host that works."""
        self._hosts.pop(name, None)

    def let_through(self, name: str, wanted: int, now: float) -> int:
        """How many of the wanted pushes may go to a host now; a few once its pause is over, and they are its probes."""
        host = self._hosts.get(name)
        if host is None or not host.is_open:
            return wanted
        if now < host.closed_until:
            return 0
        host.is_probing = True
        host.closed_until = now + _PROBING
        return min(wanted, _PROBES)

    def forget(self, now: float) -> None:
        """Forget hosts that have not failed for long."""
        for name, host in list(self._hosts.items()):
            if now - host.failed_at >= _FORGOTTEN and now >= host.closed_until:
                del self._hosts[name]

    def _known(self, name: str, words: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= _MOST:
                del self._hosts[next(iter(self._hosts))]
            host = self._hosts[name] = _Host(words)
        return host
