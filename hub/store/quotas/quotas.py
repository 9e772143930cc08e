"""The contract `Quotas` over a database: a row a service, which one process at a time reads and writes."""

from collections.abc import Callable, Mapping

import orjson

from hub.notification import PLATFORM_NAMED
from hub.quota import QuotaGrant, QuotaReport
from hub.store.connection import Connection, Database, Statement
from hub.store.contracts.outbox import Service
from hub.store.decide.quota import QuotaState
from hub.store.rows import service_key

BEGIN = Statement(
    "quota.begin",
    "INSERT INTO quota (service, per_minute, state) VALUES (:service, 0, '{}') ON CONFLICT (service) DO NOTHING",
)
HOLD = Statement(
    "quota.hold",
    "UPDATE quota SET per_minute = per_minute WHERE service = :service RETURNING state",
)
WRITE = Statement(
    "quota.write",
    "UPDATE quota SET per_minute = :per_minute, state = :state WHERE service = :service",
    columns=(("per_minute", "double precision"), ("state", "text"), ("service", "text")),
)
KNOWN = Statement("quota.known", "SELECT service, per_minute FROM quota WHERE per_minute > 0")


class SqlQuotas:
    """`owner` names this process; `now` gives the store's time, from any thread."""

    def __init__(self, database: Database, *, now: Callable[[], float], owner: str) -> None:
        self._database = database
        self._now = now
        self._owner = owner

    async def share_quotas(self, reports: Mapping[Service, QuotaReport]) -> Mapping[Service, QuotaGrant]:
        """Rows are held in the order of their keys, so that two processes never wait for each other."""
        ordered = sorted(reports, key=service_key)

        def share(connection: Connection) -> dict[Service, QuotaGrant]:
            grants, writes = {}, []
            for service in ordered:
                key = service_key(service)
                state = _held(connection, key)
                grants[service] = state.take(reports[service], process=self._owner, now=self._now())
                writes.append((state.limit or 0.0, orjson.dumps(state.said()).decode(), key))
            connection.write_all([(WRITE, writes)])
            return grants

        return await self._database.write(share)

    async def known_quotas(self) -> Mapping[Service, float]:
        rows = await self._database.look(lambda connection: connection.read(KNOWN))
        named = [(key.partition("/"), per_minute) for key, per_minute in rows]
        return {
            (hub, PLATFORM_NAMED[platform]): per_minute
            for (platform, _, hub), per_minute in named
            if platform in PLATFORM_NAMED
        }


def _held(connection: Connection, key: str) -> QuotaState:
    """What the row says, which is held until the transaction ends."""
    rows = connection.write(HOLD, service=key)
    if not rows:
        connection.write(BEGIN, service=key)
        rows = connection.write(HOLD, service=key)
    ((text,),) = rows
    said = orjson.loads(text)
    return QuotaState.of(said) if said else QuotaState()
