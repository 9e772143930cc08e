"""The schemas that messages name: looked up before the messages are decoded, which does no I/O."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bridge.schemas.registry import SchemaRegistry
from connectors.base import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """How many messages of a batch, from the first on, can be decoded; `missing` says why the next one cannot yet.

    With `sender_waits` that message is not to be kept waiting: its sender has it still, and sends it again.
    """

    count: int
    missing: str = ""
    sender_waits: bool = False


class MessageSchemas:
    """The schemas of one source. `ids_of` names those without which a message cannot be decoded."""

    def __init__(self, registry: SchemaRegistry, ids_of: Callable[[Message], Iterable[int]]) -> None:
        self._registry = registry
        self._ids_of = ids_of

    async def readable(self, messages: Sequence[Message], *, sender_waits: bool = False) -> Readable:
        """Look up what is not known. A message waits for schemas that are missing, and those behind it wait with it."""
        wanted = [[id for id in self._ids_of(message) if self._registry.get(id) is None] for message in messages]
        if not any(wanted):
            return Readable(count=len(messages))
        await self._registry.fetch(id for ids in wanted for id in ids)
        for number, ids in enumerate(wanted):
            for id in ids:
                if self._registry.get(id) is None and not self._registry.is_given_up(id):
                    return Readable(count=number, missing=self._registry.why_missing(id), sender_waits=sender_waits)
        return Readable(count=len(messages))
