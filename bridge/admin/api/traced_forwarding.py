"""An event that another pushbridge took and whose notifications it sent here, one by one."""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from hub.origin import FORWARDED
from hub.store.contracts.journal import KeptEvent


def in_one(events: Sequence[KeptEvent]) -> KeptEvent:
    """The newest of the entries of one event and source, newest first, with the rules and notifications of all.

    An event that was taken here has all of that in one entry, and an earlier entry is another event of its id.
    """
    newest = events[0]
    detail = orjson.loads(newest.detail)
    if not detail.get(FORWARDED):
        return newest
    rules: dict[str, None] = {}
    notifications: dict[str, str] = {}
    for event in reversed(events):
        for rule, id_ in orjson.loads(event.detail)["notifications"]:
            rules[rule] = None
            notifications[id_] = rule
    whole = {**detail, "rules": list(rules), "notifications": [[rule, id_] for id_, rule in notifications.items()]}
    return replace(newest, detail=orjson.dumps(whole))
