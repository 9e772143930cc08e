"""The schemas of one source: looked up when first needed, and kept for the life of the process.

An id stands for the same schema for ever, so that an outage of the registry stops no schema that is known. One that is
not known is asked for again and again, but not more often than every few seconds.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.schemas.client import (
    Answer,
    LookupFailedError,
    LookupResult,
    RegistryClient,
    UnknownSchemaError,
)
from bridge.schemas.settings import RegistrySettings

ASK_EVERY: Final = 2.0
"""Seconds between two lookups of one id that is not known."""

MAX_REFERENCES: Final = 100
"""Schemas that one schema may refer to, those included that they refer to."""

_MAX_FORGOTTEN: Final = 10_000
"""Ids that are not known and were asked for, of which a time is kept: who invents ids takes no more memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredSchema:
    """A schema with all that it refers to, what is referred to before what refers to it: (name, text) each.

    `kind` is the registry's word: AVRO, JSON or PROTOBUF. A `defect` says why no body can be read by it.
    """

    id: int
    kind: str = ""
    text: str = ""
    references: Sequence[tuple[str, str]] = ()
    defect: str = ""


class KnownSchemas(Protocol):
    """What decoding asks: it looks nothing up."""

    def get(self, id: int) -> RegisteredSchema | None:
        """The schema, or None where it was not looked up, or not found."""

    def why_missing(self, id: int) -> str:
        """In words, for an id that `get` does not know."""


@dataclass(frozen=True, slots=True)
class NoSchemas:
    """Where there is no registry to ask."""

    def get(self, id: int) -> RegisteredSchema | None:
        return None

    def why_missing(self, id: int) -> str:
        return f"schema {id} was not looked up"


NO_SCHEMAS = NoSchemas()


class SchemaRegistry:
    """`on_lookup` is told how each lookup ends. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        on_lookup: Callable[[LookupResult], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._on_lookup = on_lookup
        self._clock = clock
        self._known: dict[int, RegisteredSchema] = {}
        self._troubles: dict[int, _Trouble] = {}
        self._one_at_a_time = asyncio.Lock()

    def __len__(self) -> int:
        """How many schemas are kept."""
        return len(self._known)

    def get(self, id: int) -> RegisteredSchema | None:
        return self._known.get(id)

    def why_missing(self, id: int) -> str:
        trouble = self._troubles.get(id)
        return f"schema {id} was not looked up" if trouble is None else trouble.text

    async def fetch(self, ids: Iterable[int]) -> None:
        """Look up those that are not known, unless that was tried a moment ago. A failure is kept for `why_missing`."""
        missing = [id for id in ids if id not in self._known]
        if not missing:
            return
        async with self._one_at_a_time:
            due = [id for id in dict.fromkeys(missing) if id not in self._known and self._is_due(id)]
            if due:
                await self._look_up(due)

    def _is_due(self, id: int) -> bool:
        trouble = self._troubles.get(id)
        return trouble is None or self._clock() - trouble.tried_at >= ASK_EVERY

    async def _look_up(self, ids: Sequence[int]) -> None:
        try:
            async with RegistryClient(self.settings) as client:
                for id in ids:
                    try:
                        self._keep(await _with_references(client, id))
                    except UnknownSchemaError as error:
                        self._fail(id, error)
        except LookupFailedError as error:  # it is about the registry: the other ids would meet it too
            for id in ids:
                if id not in self._known:
                    self._fail(id, error)

    def _keep(self, schema: RegisteredSchema) -> None:
        self._known[schema.id] = schema
        self._troubles.pop(schema.id, None)
        self._on_lookup(LookupResult.UNUSABLE if schema.defect else LookupResult.FOUND)

    def _fail(self, id: int, error: LookupFailedError) -> None:
        now = self._clock()
        before = self._troubles.pop(id, None)
        since = None
        if error.result is LookupResult.UNKNOWN:
            since = now if before is None or before.unknown_since is None else before.unknown_since
        self._troubles[id] = _Trouble(str(error), now, since)
        if len(self._troubles) > _MAX_FORGOTTEN:
            del self._troubles[next(iter(self._troubles))]
        self._on_lookup(error.result)

    def is_given_up(self, id: int) -> bool:
        """Whether the registry has not known the id for so long that its messages wait no more."""
        limit, trouble = self.settings.give_up_after, self._troubles.get(id)
        if limit is None or trouble is None or trouble.unknown_since is None:
            return False
        return self._clock() - trouble.unknown_since >= limit


@dataclass(frozen=True, slots=True)
class _Trouble:
    """`unknown_since` is None where the registry did not say that it has no such id."""

    text: str
    tried_at: float
    unknown_since: float | None


async def _with_references(client: RegistryClient, id: int) -> RegisteredSchema:
    """Raises: LookupFailedError."""
    answer = await client.schema(id)
    found: dict[tuple[str, int], Answer] = {}
    ordered: dict[tuple[str, str, int], str] = {}
    todo = list(reversed(answer.references))
    while todo:  # depth first, so that what is referred to comes before what refers to it; no recursion
        reference = todo[-1]
        _, subject, version = reference
        if (subject, version) in found:
            ordered.setdefault(reference, found[subject, version].text)
            todo.pop()
            continue
        if len(found) == MAX_REFERENCES:
            return RegisteredSchema(id=id, defect=f"schema {id} refers to more than {MAX_REFERENCES} others")
        found[subject, version] = below = await client.version(subject, version)
        todo += [each for each in reversed(below.references) if each[1:] not in found]
    named = tuple((name, text) for (name, _, _), text in ordered.items())
    return RegisteredSchema(id=id, kind=answer.kind, text=answer.text, references=named)


class SchemaRegistries:
    """The registries of all sources by name: one stays with what it knows while its settings do."""

    def __init__(self, *, on_lookup: Callable[[str, LookupResult], None] = lambda *_: None) -> None:
        self._on_lookup = on_lookup
        self._by_source: dict[str, SchemaRegistry] = {}

    def of(self, source: str, settings: RegistrySettings | None) -> SchemaRegistry | None:
        """That of a source; None where its settings name none."""
        if settings is None:
            self._by_source.pop(source, None)
            return None
        kept = self._by_source.get(source)
        if kept is None or kept.settings != settings:
            kept = SchemaRegistry(settings, on_lookup=lambda result: self._on_lookup(source, result))
            self._by_source[source] = kept
        return kept

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many schemas are kept, by source."""
        return {source: len(registry) for source, registry in self._by_source.items()}
