"""What the services were asked, in order of arrival: the only witness of what a client really sent."""

import asyncio
import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of everybody who is not given another."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One push as a service received it. `seq` counts from 1 over all services.

    `push_id` is the sender's own id of the push, empty where it sent none. `reason` is empty when all is well.
    `headers` are without the credential.
    """

    seq: int
    at: datetime
    service: str
    push_id: str
    handle: str
    status: int
    reason: str = ""
    payload: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether the service has taken the push: 200 or 201, and not one of WNS's polite refusals."""
        return self.status in (200, 201) and not self.reason


class Journal:
    """Collects entries, optionally appends them to a file as JSON lines, and tells subscribers.

    A line is written out before the client gets its answer, so the file outlives any client and any crash of this
    process. `keep_payload=False` keeps neither payloads nor headers, for load. `size` bounds the entries kept in memory:
    the oldest goes when a new one comes; None keeps all.
    """

    def __init__(
        self, *, path: Path | None = None, keep_payload: bool = True, size: int | None = None, clock: Clock = utc_now
    ) -> None:
        self.size = size
        self._dropped = 0
        self._entries: list[Entry] = []
        self._keep_payload = keep_payload
        self._clock = clock
        self._file = None if path is None else path.open("ab", buffering=0)
        self._subscribers: dict[str | None, list[Callable[[Entry], None]]] = {}

    def record(
        self,
        *,
        service: str,
        push_id: str,
        handle: str,
        status: int,
        reason: str,
        payload: bytes,
        headers: Mapping[str, str],
    ) -> Entry:
        """Number an entry, keep it, write it, tell it."""
        kept = self._keep_payload
        entry = Entry(
            seq=self.last + 1,
            at=self._clock(),
            service=service,
            push_id=push_id,
            handle=handle,
            status=status,
            reason=reason,
            payload=payload if kept else b"",
            headers={name: value for name, value in headers.items() if name != "authorization"} if kept else {},
        )
        self._entries.append(entry)
        if self.size is not None and len(self._entries) > self.size:
            del self._entries[0]
            self._dropped += 1
        if self._file is not None:
            self._file.write(line_of(entry))
        for key in (None, handle) if self._subscribers else ():
            for subscriber in tuple(self._subscribers.get(key, ())):
                subscriber(entry)
        return entry

    def subscribe(self, subscriber: Callable[[Entry], None], *, handle: str | None = None) -> Callable[[], None]:
        """Call `subscriber` with every entry to come (of one handle, if given); calling the result ends it."""
        self._subscribers.setdefault(handle, []).append(subscriber)
        return lambda: self._subscribers[handle].remove(subscriber)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def first(self) -> int:
        """The number of the oldest entry kept, or of the one to come where none is."""
        return self._dropped + 1

    @property
    def last(self) -> int:
        """The number of the newest entry, 0 before the first."""
        return self._dropped + len(self._entries)

    def after(self, seq: int) -> Iterator[Entry]:
        """The entries kept behind number `seq`; those that come while they are read included."""
        while seq < self.last:
            entry = self._entries[max(0, seq - self._dropped)]
            seq = entry.seq
            yield entry

    def accepted(self) -> list[Entry]:
        """The pushes that were taken, repeats included."""
        return [entry for entry in self._entries if entry.accepted]

    def of_handle(self, handle: str) -> list[Entry]:
        """Everything sent to one handle."""
        return [entry for entry in self._entries if entry.handle == handle]

    def of_push(self, push_id: str) -> list[Entry]:
        """Every try of one push."""
        return [entry for entry in self._entries if entry.push_id == push_id]

    def counts(self) -> Counter[tuple[str, int, str]]:
        """How many entries there are by service, status and reason."""
        return Counter((entry.service, entry.status, entry.reason) for entry in self._entries)

    async def wait_for(
        self, matches: Callable[[Entry], bool] = lambda entry: entry.accepted, *, count: int = 1, timeout: float = 30.0
    ) -> list[Entry]:
        """The first `count` entries that match, those already there included.

        Raises: TimeoutError: there were fewer within `timeout` seconds; it says how many.
        """
        found = [entry for entry in self._entries if matches(entry)]
        if len(found) >= count:
            return found[:count]
        complete = asyncio.get_running_loop().create_future()

        def take(entry: Entry) -> None:
            if matches(entry):
                found.append(entry)
                if len(found) == count:
                    complete.set_result(None)

        unsubscribe = self.subscribe(take)
        try:
            async with asyncio.timeout(timeout):
                await complete
        except TimeoutError:
            raise TimeoutError(f"{len(found)} of {count} matching pushes arrived within {timeout} s") from None
        finally:
            unsubscribe()
        return found[:count]

    def close(self) -> None:
        """Close the file; what was recorded can still be asked for."""
        if self._file is not None:
            self._file.close()


def read_journal(path: Path) -> Iterator[Entry]:
    """The entries of a journal's file, which may still be written to; a line not yet complete is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _entry(orjson.loads(line))


def line_of(entry: Entry) -> bytes:
    """An entry as a JSON line; the payload as text where it is UTF-8, else as base64."""
    fields: dict[str, Any] = {name: getattr(entry, name) for name in Entry.__slots__}
    payload: bytes = fields.pop("payload")
    try:
        fields["payload"] = payload.decode()
    except UnicodeDecodeError:
        fields["payload_base64"] = base64.b64encode(payload).decode("ascii")
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _entry(fields: dict[str, Any]) -> Entry:
    encoded = fields.pop("payload_base64", None)
    payload = fields.pop("payload", "").encode() if encoded is None else base64.b64decode(encoded)
    return Entry(**{**fields, "at": datetime.fromisoformat(fields["at"])}, payload=payload)
