"""Whether a remote hub could be used: it answers, takes the key, and its clock and ours agree; nothing is changed there."""

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httpx

from hub.delivery.remote_api import RemoteApi
from hub.errors import RemoteUnreachableError
from hub.host_time import HostTime, host_time
from hub.store.findings import Finding, Health

_LARGEST_SKEW: Final = 300.0
"""Seconds between the clocks: signatures are good for an hour, and a hub may take none from a clock that is ahead."""

_ADDRESS = "see that the connection string's endpoint is right, and that nothing on the way stops the connection"
_KEY = "look at the connection string: the policy's name and key, and the hub's name (remote.hub)"
_CLOCK = "set this machine's clock, such as by NTP"


async def look(
    name: str, api: RemoteApi, clocks: list[HostTime], *, manages: bool, clock: Callable[[], float] = time.time
) -> Finding:
    """Ask for one registration, which takes the right Manage; a key without it is good where `manages` is not asked for.

    What the hub's clock says joins `clocks`.
    """
    try:
        answer = await api.request("GET", "registrations", query={"$top": "1"})
    except RemoteUnreachableError as error:
        return Finding(name=name, health=Health.FAILED, text=str(error), cure=_ADDRESS)
    said_time = host_time(urlsplit(api.settings.endpoint).hostname or "", answer.headers, now=clock())
    if said_time is not None:
        clocks.append(said_time)
    if said_time is not None and abs(skew := said_time.ahead) > _LARGEST_SKEW:
        said = f"the clock of this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} that of the hub"
        return Finding(name=name, health=Health.FAILED, text=said, cure=_CLOCK)
    where = f"{api.settings.endpoint}/{api.settings.hub}"
    if answer.is_success:
        return Finding(name=name, health=Health.OK, text=f"{where}: answers, and the key may manage")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return Finding(name=name, health=Health.FAILED, text=f"{where}: there is no such hub", cure=_KEY)
    if not _lacks_a_right(answer):
        said = f"{where}: answers HTTP {answer.status_code}"
        return Finding(name=name, health=Health.FAILED, text=said, cure=_KEY)
    if manages:
        said = f"{where}: the policy {api.settings.key_name} has not the right Manage"
        return Finding(
            name=name, health=Health.FAILED, text=said, cure="a hub that is mirrored needs a policy with Manage"
        )
    said = f"{where}: answers, and knows the key; whether it may send shows with the first send"
    return Finding(name=name, health=Health.OK, text=said)


def _lacks_a_right(answer: httpx.Response) -> bool:
    """Whether the key is known and may not do this: 403, or a 401 that says which claim is missing."""
    return answer.status_code == httpx.codes.FORBIDDEN or (
        answer.status_code == httpx.codes.UNAUTHORIZED and "claim" in answer.text.lower()
    )
