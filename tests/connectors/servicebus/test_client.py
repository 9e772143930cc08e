"""What the SDK raises holds nothing of what it was doing, however its exceptions hang together."""

import asyncio
import weakref

import pytest

from connectors.servicebus.client import letting_go


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
