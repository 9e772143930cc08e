"""Queues, exchanges and bindings: created if missing, compared if present, never altered.

Each question is asked on a channel of its own, as the broker says no by closing it. What exists is compared by
declaring it once more: the broker then only checks, and names the first setting that differs.
"""

import re
from typing import Any, NamedTuple

from connectors.errors import TopologyError
from connectors.logs import entity_created
from connectors.rabbitmq.connection import Connection, RefusedError
from connectors.rabbitmq.settings import Binding, NewExchange, RabbitMqSettings

_CREATE_EXCHANGE = "; is it spelt right? create it, or write create_if_missing: {} beside it in bind"

ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED = 403, 404, 406


class _Difference(NamedTuple):
    setting: str
    sides: str


async def ensure(connection: Connection, settings: RabbitMqSettings, *, source: str) -> None:
    """See to it that the queue is there and bound; a log line names what is created for `source`.

    A queue that we create, or would have created so, dead-letters to the exchange `<queue>.dlx` and through it to the
    queue `<queue>.dead-letter`. Nothing is created when the queue turns out to differ, or an exchange is missing that
    is not to be created.

    Raises: TopologyError, NotConnectedError.
    """
    queue, new = settings.queue.name, settings.queue.create_if_missing
    for binding in settings.bind:
        if binding.create_if_missing is None:
            await require_exchange(connection, binding.exchange, advice=_CREATE_EXCHANGE)
    if new is None:
        await _require_queue(connection, queue)
    else:
        dead_letter, exchange = f"{queue}.dead-letter", f"{queue}.dlx"
        arguments: dict[str, str | int] = {"x-queue-type": new.type, "x-dead-letter-exchange": exchange}
        if new.type == "quorum":
            arguments["x-delivery-limit"] = new.delivery_limit
        missing = await _missing_queue(connection, queue, durable=new.durable, arguments=arguments)
        await _ensure_queue(connection, source, dead_letter, durable=True, arguments={"x-queue-type": new.type})
        fanout = Binding(exchange=exchange, type="fanout", create_if_missing=NewExchange())
        await _ensure_binding(connection, source, dead_letter, fanout)
        if missing:  # last, so that it never rejects into nothing
            await _declare_queue(connection, source, queue, durable=new.durable, arguments=arguments)
    for binding in settings.bind:
        await _ensure_binding(connection, source, queue, binding)


async def look(connection: Connection, settings: RabbitMqSettings) -> None:
    """See that what is not to be created is there, and create nothing. Raises: TopologyError, NotConnectedError."""
    for binding in settings.bind:
        if binding.create_if_missing is None:
            await require_exchange(connection, binding.exchange, advice=_CREATE_EXCHANGE)
    if settings.queue.create_if_missing is None:
        await _require_queue(connection, settings.queue.name)


async def require_exchange(connection: Connection, exchange: str, *, advice: str = "") -> None:
    """Raises: TopologyError when there is no such exchange; `advice` is appended to its text."""
    if not await _exists(connection, "exchange_declare", exchange=exchange):
        raise TopologyError(f"exchange {exchange!r} does not exist{advice}")


async def _require_queue(connection: Connection, queue: str) -> None:
    if not await _exists(connection, "queue_declare", queue=queue):
        raise TopologyError(f"queue {queue!r} does not exist; create it, or say create_if_missing")


async def _ensure_queue(connection: Connection, source: str, queue: str, **settings: Any) -> None:
    if await _missing_queue(connection, queue, **settings):
        await _declare_queue(connection, source, queue, **settings)


async def _declare_queue(connection: Connection, source: str, queue: str, **settings: Any) -> None:
    await _create(connection, f"queue {queue!r}", "queue_declare", queue=queue, **settings)
    entity_created(source, f"queue {queue!r}")


async def _missing_queue(connection: Connection, queue: str, **settings: Any) -> bool:
    """Whether the queue is missing. Raises: TopologyError when it exists with other settings."""
    if not await _exists(connection, "queue_declare", queue=queue):
        return True
    difference = await _difference(connection, "queue_declare", queue=queue, **settings)
    if difference is not None:
        raise _mismatch(f"queue {queue!r}", difference, "leave out create_if_missing to use the queue as it is")
    return False


async def _ensure_binding(connection: Connection, source: str, queue: str, binding: Binding) -> None:
    """Bind, after creating the exchange if missing. Of an existing exchange only the type matters to us."""
    what, new = f"exchange {binding.exchange!r}", binding.create_if_missing
    declaration = {"exchange": binding.exchange, "exchange_type": binding.type, "durable": new is None or new.durable}
    if new is not None and not await _exists(connection, "exchange_declare", exchange=binding.exchange):
        await _create(connection, what, "exchange_declare", **declaration)
        entity_created(source, f"{binding.type} {what}")
    else:
        difference = await _difference(connection, "exchange_declare", **declaration)
        if difference is not None and difference.setting == "type":
            raise _mismatch(what, difference, "bind with the type it has")
    bound = {"queue": queue, "exchange": binding.exchange, "routing_key": binding.key}
    await _create(connection, f"the binding of {queue!r} to {what}", "queue_bind", **bound)


async def _exists(connection: Connection, verb: str, **name: str) -> bool:
    try:
        await _ask(connection, verb, passive=True, **name)
    except RefusedError as refused:
        if refused.code == NOT_FOUND:
            return False
        raise TopologyError(f"cannot use {' '.join(name.values())!r}: {refused}") from refused
    return True


async def _create(connection: Connection, what: str, verb: str, **arguments: Any) -> None:
    try:
        await _ask(connection, verb, **arguments)
    except RefusedError as refused:
        raise TopologyError(f"the broker refuses to create {what}: {refused}") from refused


async def _difference(connection: Connection, verb: str, **arguments: Any) -> _Difference | None:
    """What the broker finds different in a thing that exists; None also when we may use but not declare it."""
    try:
        await _ask(connection, verb, **arguments)
    except RefusedError as refused:
        if refused.code == ACCESS_REFUSED:
            return None
        if refused.code != PRECONDITION_FAILED:
            raise
        return _named_difference(str(refused))
    return None


def _named_difference(text: str) -> _Difference:
    """The difference in RabbitMQ's words `inequivalent arg 'A' for queue ...: received R but current is C`."""
    found = re.search(r"inequivalent arg '([^']+)' .*: received (.+) but current is (.+) \(406\)$", text)
    if found is None:
        return _Difference("settings", text)
    setting, ours, theirs = found.groups()
    return _Difference(setting, f"{setting}: configured {_value(ours)}, at the broker {_value(theirs)}")


def _value(words: str) -> str:
    """The value alone of `the value 'quorum' of type 'longstr'`."""
    found = re.fullmatch(r"the value (.+) of type '\w+'", words)
    return found[1] if found else words


def _mismatch(what: str, difference: _Difference, advice: str) -> TopologyError:
    text = f"{what} exists with other settings and is left alone: {difference.sides}; change either side, or {advice}"
    return TopologyError(text, differences=(difference.sides,))


async def _ask(connection: Connection, verb: str, **arguments: Any) -> None:
    """Ask once on a channel of its own. Raises: RefusedError, NotConnectedError."""
    channel = await connection.channel()
    await channel.call(getattr(channel.raw, verb), **arguments)
    channel.raw.close()
