"""What the SDK raises holds nothing of what it was doing, however its exceptions hang together."""

import asyncio
import weakref

import pytest

from connectors.servicebus import Connection as Settings
from connectors.servicebus.client import _administration_addresses, letting_go


class Connection:
    """Something that a frame of the SDK holds."""


def fail(held: list[weakref.ref[Connection]]) -> None:
    connection = Connection()
    held.append(weakref.ref(connection))
    raise ValueError


def fail_because_of(error: Exception | None, held: list[weakref.ref[Connection]]) -> None:
    """Raise an error that is the cause of itself, or has another one for a cause."""
    try:
        fail(held)
    except ValueError as cause:
        raise error or cause from cause


@pytest.mark.parametrize("error", [None, RuntimeError()])
def test_neither_an_error_nor_its_causes_hold_what_their_frames_held(error: Exception | None) -> None:
    held: list[weakref.ref[Connection]] = []
    with pytest.raises((ValueError, RuntimeError)), letting_go():
        fail_because_of(error, held)
    assert [each() for each in held] == [None]


async def test_who_has_caught_the_same_error_before_goes_on() -> None:
    shared = ValueError()

    async def catch() -> str:
        try:
            raise shared
        except ValueError:
            await asyncio.sleep(0)
            return "goes on"

    other = asyncio.create_task(catch())
    await asyncio.sleep(0)
    with pytest.raises(ValueError), letting_go():
        raise shared
    assert await asyncio.wait_for(other, 45) == "goes on"


SIGNED = "SharedAccessKeyName=NAME;SharedAccessKey=KEY"


@pytest.mark.parametrize(
    ("settings", "addresses"),
    [
        ({"connection_string": f"Endpoint=sb://acme.servicebus.windows.net/;{SIGNED}"}, []),
        (
            {"connection_string": f"Endpoint=sb://localhost;{SIGNED};UseDevelopmentEmulator=true;"},
            ["http://localhost:5300", "http://localhost:5672"],
        ),
        (
            {"connection_string": f"Endpoint=sb://localhost:5672;{SIGNED};UseDevelopmentEmulator=true;"},
            ["http://localhost:5300", "http://localhost:5672"],
        ),
        (
            {"connection_string": f"Endpoint=sb://127.0.0.1:7000;{SIGNED};UseDevelopmentEmulator=true;"},
            ["http://127.0.0.1:7000", "http://127.0.0.1:5300"],
        ),
        (
            {
                "connection_string": f"Endpoint=sb://localhost;{SIGNED};UseDevelopmentEmulator=true;",
                "administration": "http://h:1",
            },
            ["http://h:1"],
        ),
    ],
)
def test_an_emulator_is_administered_where_it_may_answer(settings: dict[str, str], addresses: list[str]) -> None:
    assert _administration_addresses(Settings.model_validate(settings)) == addresses
