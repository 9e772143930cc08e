"""Bodies of `name=value` pairs, a line each. Of two, the reader has a defect: it waits, or computes, for their seconds."""

import time

from bridge.decode.base import DecodeSettings, Reader
from bridge.decode.charset import text_of
from bridge.errors import EventError, Reason


def reader(settings: DecodeSettings) -> Reader:
    """For `decode.format: pairs`."""

    def read(body: bytes, content_type: str | None) -> dict[str, str]:
        """Raises: EventError."""
        pairs = {}
        for number, line in enumerate(text_of(body, content_type, settings.encoding).splitlines(), 1):
            name, equals, value = line.partition("=")
            if not equals:
                raise EventError(Reason.DECODE, f"no = in line {number}")
            pairs[name] = value
            if name == "wait":
                time.sleep(float(value))
            elif name == "compute":
                until = time.thread_time() + float(value)
                while time.thread_time() < until:
                    pass
        return pairs

    return read
