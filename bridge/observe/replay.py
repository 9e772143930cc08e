"""What a replay of a dead letter comes to, for who asks: made by the intake, shown by the admin API."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bridge.observe.facts import ReplayOutcome
from hub.acceptance import Ingest
from hub.notification import Notification
from hub.store.contracts.dead_letters import KeptLetter
from rules.decision import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay of a letter comes to, or came to. `rules` matched; `reason` and `detail` say why a letter failed.

    `known` are the ids of those `notifications` that the store had before: they cause nothing. `failures` are rules that
    become dead letters of their own, beside notifications of others.
    """

    letter: KeptLetter
    outcome: ReplayOutcome
    reason: str = ""
    detail: str = ""
    rules: Sequence[str] = ()
    notifications: Sequence[Notification] = ()
    known: Collection[str] = ()
    failures: Sequence[Failure] = ()
    ingest: Ingest
