"""Texts held here that notifications name: each document stands once, by its hash, before the first that names it, and
goes when none names it any more and none was accepted that does for long."""

from collections.abc import Iterable, Mapping, Sequence

from hub.acceptance import Ingest
from hub.errors import StoreError
from hub.notification import HeldText, TemplateContent
from hub.store.connection import Connection, Statement
from hub.store.rows import named_text

_KNOWN = 4096
"""Texts that are remembered as kept."""

_SURE = 3600.0
"""Seconds for which a process takes for granted that a text is kept; then it says again that the text is used. Texts are
forgotten much later after that, so that none goes between this look and the acceptance."""

SLICE = 200
"""Texts that one transaction looks at, at most."""

_ID = ("id", "bigint")
_USED_AT = ("used_at", "double precision")
ADD_TEXTS = Statement(
    "held_text.add",
    "INSERT INTO held_text (id, name, document, used_at) VALUES (:id, :name, :document, :used_at)"
    " ON CONFLICT (id) DO UPDATE SET used_at = excluded.used_at",
    columns=(_ID, ("name", "text"), ("document", "bytea"), _USED_AT),
)
UNUSED = Statement(
    "held_text.unused", "SELECT id, name FROM held_text WHERE used_at < :before ORDER BY used_at LIMIT :slice"
)
NAMED = Statement(
    "notification.naming_text",
    "SELECT headers FROM notification WHERE format = 'template' AND headers IS NOT NULL AND headers = :headers LIMIT 1",
    columns=(("headers", "text"),),
)
STILL_USED = Statement(
    "held_text.still_used", "UPDATE held_text SET used_at = :used_at WHERE id = :id", columns=(_USED_AT, _ID)
)
DROP = Statement(
    "held_text.drop",
    "DELETE FROM held_text WHERE id = :id AND used_at < :before",
    columns=(_ID, ("before", "double precision")),
)
TEXTS = Statement(
    "held_text.among", "SELECT id, document FROM held_text WHERE id IN (:keys)", columns=(("id", "bigint"),)
)


class KeptTexts:
    """Which texts the store has, as far as this process knows."""

    def __init__(self) -> None:
        self._ids: dict[int, float] = {}

    def missing(self, batch: Sequence[Ingest], *, now: float) -> Sequence[HeldText]:
        """The texts of a batch that are to be kept first, or said to be used; `now` is in seconds."""
        missing: dict[int, HeldText] = {}
        for ingest in batch:
            for notification in ingest.notifications:
                content = notification.content
                if isinstance(content, TemplateContent) and content.text is not None:
                    text = content.text
                    if text.document and not 0 <= now - self._ids.get(text.id, -_SURE) < _SURE:
                        missing[text.id] = text
        return list(missing.values())

    def add(self, texts: Iterable[HeldText], *, now: float) -> None:
        """Remember that the store has these."""
        if len(self._ids) > _KNOWN:
            self._ids.clear()
        self._ids.update((text.id, now) for text in texts)


def keep_texts(connection: Connection, texts: Sequence[HeldText], *, now: float) -> None:
    """Keep what is not kept, all as used `now`. Raises: StoreError: two documents have one hash."""
    rows = sorted((text.id, text.name, text.document, now) for text in texts)  # in one order, as others write them too
    connection.insert_many(ADD_TEXTS, rows)
    kept = read_texts(connection, [text.id for text in texts])
    for text in texts:
        if kept.get(text.id) != text.document:
            raise StoreError(
                f"the text {text.name} cannot be kept: its hash is that of another one; change a word of it"
            )


def read_texts(connection: Connection, ids: Sequence[int]) -> Mapping[int, bytes]:
    """The documents of these texts."""
    return {id: bytes(document) for id, document in connection.read_by_keys(TEXTS, sorted(set(ids)))}


def has_unused(connection: Connection, *, before: float) -> bool:
    """Whether a text was not used since then."""
    return bool(connection.read(UNUSED, before=before, slice=1))


def forget_texts(connection: Connection, *, before: float, now: float) -> bool:
    """Drop a slice of the texts that were not used since `before`; whether more is left.

    What a notification names, as one that waits for long does, stays, and is looked at again when it is as old once more.
    """
    texts = {
        named_text(HeldText(id=id, name=name)): id
        for id, name in sorted(connection.read(UNUSED, before=before, slice=SLICE))
    }
    named = {headers for (headers,) in connection.read_many(NAMED, [(headers,) for headers in texts])}
    connection.write_all(
        [
            (STILL_USED, [(now, id) for headers, id in texts.items() if headers in named]),
            (DROP, [(id, before) for headers, id in texts.items() if headers not in named]),
        ]
    )
    return len(texts) == SLICE
