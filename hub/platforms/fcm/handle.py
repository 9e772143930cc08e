"""Push channels of FCM: a registration token, an id of a Firebase installation, or both until one of them succeeds.

Firebase's libraries of 2026 send to installation ids and call tokens deprecated; since when its servers take them from
everybody is unconfirmed. So an app that has both may register both.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from hub.errors import InvalidRequestError

FID_PREFIX: Final = "fid:"
"""How the push channel of an installation id begins; a registration token stands by itself."""

_FID: Final = re.compile(r"[A-Za-z0-9_-]{22}")


class Target(NamedTuple):
    """One field of a message that names a phone: `token` or `fid`."""

    kind: str
    value: str

    @property
    def push_channel(self) -> str:
        """The push channel that is this target alone."""
        return f"{FID_PREFIX}{self.value}" if self.kind == "fid" else self.value


def targets_of(push_channel: str) -> Sequence[Target]:
    """What a push channel names, in the order in which they are tried; what is of no other form is a token."""
    if push_channel.startswith("{"):
        both = _object(push_channel)
        targets = [Target(kind, both[kind]) for kind in ("fid", "token") if isinstance(both.get(kind), str)]
        return targets if len(targets) == 2 else [Target("token", push_channel)]
    if push_channel.startswith(FID_PREFIX):
        return [Target("fid", push_channel.removeprefix(FID_PREFIX))]
    return [Target("token", push_channel)]


def push_channel_of(text: str) -> str:
    """A push channel as it is stored: `TOKEN`, `fid:ID`, or an object of both.

    Raises: InvalidRequestError.
    """
    targets = targets_of(text)
    if text.startswith("{") and len(targets) != 2:
        raise InvalidRequestError('pushChannel: for FCM it is a token, fid:ID, or {"fid": …, "token": …}')
    for kind, value in targets:
        if not value or (kind == "fid" and not _FID.fullmatch(value)):
            raise InvalidRequestError(
                "pushChannel: a Firebase installation id has 22 letters, digits, - and _"
                if kind == "fid"
                else "pushChannel: the registration token is empty"
            )
    return orjson.dumps(dict(targets)).decode() if len(targets) == 2 else text


def _object(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
