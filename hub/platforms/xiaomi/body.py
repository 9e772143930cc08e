"""What a payload has to be for Mi Push: its parameters as a JSON object, sent as a form (Xiaomi, server SDK)."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

MAX_CONTENT: Final = 4096
"""Bytes of title, description and payload together; unconfirmed."""

MAX_TTL: Final = 14 * 86_400_000
"""Milliseconds that Xiaomi keeps a message."""

TARGETS: Final = ("registration_id", "alias", "user_account", "topic", "topics")
SHOWN: Final = ("title", "description")


def fields_of(message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The parameters of a message; members of an object become `extra.NAME`.

    Raises: ValueError: a list, or an object that is not one of texts.
    """
    for name, value in message.items():
        if isinstance(value, dict):
            for inner, one in value.items():
                yield f"{name}.{inner}", _text(f"{name}.{inner}", one)
        else:
            yield name, _text(name, value)


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str | int | float):
        raise ValueError(f"{name} has to be a text or a number")
    return str(value)


def is_passed_through(message: Mapping[str, Any]) -> bool:
    """Whether the app gets the message instead of the phone showing it."""
    return str(message.get("pass_through", 0)) in ("1", "True")


def notify_id(key: str) -> int:
    """What a notification is replaced by: 31 bits of a key's hash, as Xiaomi takes a number."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest()) >> 1


def is_xiaomi_text(path: tuple[str, ...]) -> bool:
    """Whether a value at a path of the payload has to be text: what an app reads is."""
    return path[:1] == ("extra",) or path in (("title",), ("description",), ("payload",))
