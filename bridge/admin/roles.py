"""Who asks the admin listener, and what they may do there."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """Each may do what those before may."""

    VIEWER = 1
    """Reads everything but what may be personal: bodies, values of events, payloads."""
    OPERATOR = 2
    """Sends, replays, approves, cancels and reloads."""
    ADMIN = 3
    """Reads what may be personal, exports and erases persons, drops dead letters, and copies the store."""

    @property
    def word(self) -> str:
        """As configurations and messages write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `name` is that of their token, empty where all share one, and where none is configured."""

    role: Role
    name: str = ""


CALLER = "pushbridge.caller"
"""Where a request's scope has its caller."""

CERTIFICATE = "pushbridge.certificate"
"""Where it has the names in the client certificate that its listener has checked, if it asks for one."""

ANYBODY_HERE = Caller(Role.VIEWER)
"""Who asks from this machine while `listeners.admin.auth` is not set."""
