"""Dead letters as operators and publishers read them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from hub.acceptance import DeadLetter
from hub.errors import NotFoundError
from hub.store.connection import Connection, Statement
from hub.store.contracts.dead_letters import KeptLetter, LetterFilter, LetterReplay, LetterUsage
from hub.store.contracts.listing import ListPage
from hub.store.telemetry.listing import listing, part

_COLUMNS = (
    "t.n, t.at, t.size, t.source, t.event_id, t.rule, t.stage, t.reason, t.detail, t.content_type, t.headers, t.tries,"
    " t.trace, t.envelope, t.config_hash, t.revision, t.relay, t.replayed_at, t.replay, t.person, t.owner,"
    " t.withheld"
)
LETTERS = listing(
    "dead_letter",
    _COLUMNS,
    "dead_letter t",
    where=" AND (:source = '' OR t.source = :source) AND (:reason = '' OR t.reason = :reason)"
    " AND (:rule = '' OR t.rule = :rule) AND (:open_only = 0 OR t.replay <> 'accepted')",
    filters={"source": "text", "reason": "text", "rule": "text", "open_only": "bigint"},
)
_WITH_BODY = "FROM dead_letter t JOIN dead_letter_body b ON b.digest = t.digest"
LETTER = Statement("dead_letter.one", f"SELECT {_COLUMNS}, b.body {_WITH_BODY} WHERE t.queue = :queue AND t.n = :n")
SOME = Statement(
    "dead_letter.some",
    f"SELECT {_COLUMNS} FROM dead_letter t WHERE t.queue = :queue AND t.n = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
REPLAYS = Statement(
    "dead_letter.replays",
    "SELECT at, actor, detail FROM audit WHERE queue = :queue AND target = :target AND action = 'dead_letter.replay'"
    " ORDER BY n DESC LIMIT :limit",
)
USAGE = Statement("dead_letter.usage", "SELECT letters, bytes, queue FROM dead_letter_usage")
UNPUBLISHED = Statement(
    "dead_letter.unpublished",
    f"SELECT {_COLUMNS}, b.body {_WITH_BODY} WHERE t.queue = :queue AND t.relay = :relay ORDER BY t.n LIMIT :limit",
    columns=(("queue", "bigint"), ("relay", "text"), ("limit", "bigint")),
)


_REPLAYS_SHOWN = 100


def letters(
    connection: Connection,
    queues: Sequence[int],
    chosen: LetterFilter,
    *,
    queue_of: Callable[[int], int],
    after: str,
    limit: int,
) -> ListPage[KeptLetter]:
    """Newest first, without bodies; `chosen.ids` come all at once, those that are there."""
    if chosen.ids:
        found = connection.read_many(SOME, [(queue_of(number), number) for number in dict.fromkeys(chosen.ids)])
        kept = sorted((_kept(row) for row in found), key=lambda one: -one.id)
        return ListPage(items=[one for one in kept if _is_chosen(one, chosen)])
    rows, following = part(
        connection,
        LETTERS,
        queues=queues,
        after=after,
        limit=limit,
        source=chosen.source or "",
        reason=chosen.reason or "",
        rule=chosen.rule or "",
        open_only=int(chosen.open_only),
    )
    return ListPage(items=[_kept(row) for row in rows], next=following)


def letter(connection: Connection, queue: int, letter_id: int) -> KeptLetter:
    """With its body and its replays. Raises: NotFoundError."""
    rows = connection.read(LETTER, queue=queue, n=letter_id)
    if not rows:
        raise NotFoundError(f"dead letter {letter_id} not found")
    *columns, body = rows[0]
    replays = connection.read(REPLAYS, queue=queue, target=str(letter_id), limit=_REPLAYS_SHOWN)
    return replace(
        _kept(columns, body),
        replays=[LetterReplay(at=at, actor=actor, outcome=outcome) for at, actor, outcome in replays],
    )


def usage(connection: Connection) -> LetterUsage:
    """Of all queues; the database counts with each letter that comes or goes."""
    found = connection.read(USAGE)
    return LetterUsage(letters=sum(row[0] for row in found), bytes=sum(row[1] for row in found))


def unpublished(
    connection: Connection, queues: Sequence[int], relay: str, limit: int
) -> Sequence[tuple[int, float, DeadLetter]]:
    """(id, when, letter) of these queues, oldest first."""
    found = connection.read_many(UNPUBLISHED, [(queue, relay, limit) for queue in queues])
    kept = [_kept(columns, body) for *columns, body in sorted(found, key=lambda row: int(row[0]))[:limit]]
    return [(one.id, one.at, one.letter) for one in kept]


def _is_chosen(kept: KeptLetter, chosen: LetterFilter) -> bool:
    found = kept.letter
    wanted = ((chosen.source, found.source), (chosen.reason, found.reason), (chosen.rule, found.rule))
    return all(want is None or want == has for want, has in wanted) and not (
        chosen.open_only and kept.replay == "accepted"
    )


def _kept(row: Sequence[Any], body: bytes = b"") -> KeptLetter:
    n, at, size, source, event_id, rule, stage, reason, detail, content_type, headers, tries, *rest = row
    trace, envelope, config_hash, revision, relay, replayed_at, replay, person, owner, withheld = rest
    return KeptLetter(
        id=n,
        at=at,
        size=size if withheld is None else withheld,
        replayed_at=replayed_at,
        replay=replay,
        letter=DeadLetter(
            source=source,
            event_id=event_id,
            rule=rule,
            stage=stage,
            reason=reason,
            detail=detail,
            body=body,
            content_type=content_type,
            headers=orjson.loads(headers),
            tries=tries,
            trace=trace,
            envelope=envelope,
            config_hash=config_hash,
            revision=revision,
            relay=relay,
            person=person or "",
            owner=owner,
            withheld=withheld,
        ),
    )
