"""Sizes in settings: bytes as a number, or text with a unit as in `64KiB`, `1MiB`, `5MB`."""

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def byte_count(value: object) -> object:
    """The bytes that a text with a unit stands for; anything but text is left to the field's own check.

    Raises: ValueError for text that is no size.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]+) ?([KMG]i?B|B)", value)
    if match is None:
        raise ValueError("not a size; write bytes as a number, or text such as 64KiB, 1MiB, 5MB")
    return int(match[1]) * _UNITS[match[2]]


Size = Annotated[int, BeforeValidator(byte_count)]
"""A field in bytes; bound it with `Field(gt=0)` where zero makes no sense."""
