"""Texts held here that notifications name: each document stands once, by its hash, before the first that names it."""

from collections.abc import Iterable, Mapping, Sequence

from hub.acceptance import Ingest
from hub.errors import StoreError
from hub.notification import HeldText, TemplateContent
from hub.store.connection import Connection, Statement

_KNOWN = 4096
"""Texts that are remembered as kept."""

ADD_TEXTS = Statement(
    "held_text.add",
    "INSERT INTO held_text (id, name, document) VALUES (:id, :name, :document) ON CONFLICT (id) DO NOTHING",
    columns=(("id", "bigint"), ("name", "text"), ("document", "bytea")),
)
TEXTS = Statement(
    "held_text.among", "SELECT id, document FROM held_text WHERE id IN (:keys)", columns=(("id", "bigint"),)
)


class KeptTexts:
    """Which texts the store has, as far as this process knows."""

    def __init__(self) -> None:
        self._ids: set[int] = set()

    def missing(self, batch: Sequence[Ingest]) -> Sequence[HeldText]:
        """The texts of a batch that are to be kept first."""
        missing: dict[int, HeldText] = {}
        for ingest in batch:
            for notification in ingest.notifications:
                content = notification.content
                if isinstance(content, TemplateContent) and content.text is not None:
                    text = content.text
                    if text.id not in self._ids and text.document:
                        missing[text.id] = text
        return list(missing.values())

    def add(self, texts: Iterable[HeldText]) -> None:
        """Remember that the store has these."""
        if len(self._ids) > _KNOWN:
            self._ids.clear()
        self._ids.update(text.id for text in texts)


def keep_texts(connection: Connection, texts: Sequence[HeldText]) -> None:
    """Raises: StoreError: two documents have one hash."""
    connection.insert_many(ADD_TEXTS, [(text.id, text.name, text.document) for text in texts])
    kept = read_texts(connection, [text.id for text in texts])
    for text in texts:
        if kept.get(text.id) != text.document:
            raise StoreError(
                f"the text {text.name} cannot be kept: its hash is that of another one; change a word of it"
            )


def read_texts(connection: Connection, ids: Sequence[int]) -> Mapping[int, bytes]:
    """The documents of these texts."""
    return {id: bytes(document) for id, document in connection.read_by_keys(TEXTS, sorted(set(ids)))}
