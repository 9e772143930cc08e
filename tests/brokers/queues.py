"""A RabbitMQ as its operator sees it, through a client of its own: what is under test is not asked about itself."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count as count_from
from itertools import takewhile
from typing import Any

import pika
from pika.exceptions import UnroutableError


@contextmanager
def channel(url: str) -> Iterator[Any]:
    """A blocking channel on a connection of its own."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def declare(url: str, queue: str, arguments: Mapping[str, Any]) -> None:
    """Create a durable queue."""
    with channel(url) as broker:
        broker.queue_declare(queue, durable=True, arguments=dict(arguments))


def publish(url: str, queue: str, bodies: Iterable[bytes], **properties: Any) -> None:
    """Put persistent messages straight into a queue; returns when the broker has confirmed all."""
    put(url, queue, ((body, properties) for body in bodies))


def put(url: str, queue: str, messages: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
    """Put persistent messages, bodies with their properties, into a queue; returns when the broker has confirmed all.

    What is not confirmed may be lost, even on a channel closed in order: a quorum queue takes it in later, and a
    publisher that is gone is not asked again. Confirms are not waited for one by one, as that takes a disk's time each;
    what the broker says it could not take is sent again. Raises: AMQPError.
    """
    waiting: dict[int, tuple[bytes, Mapping[str, Any]]] = {}  # by delivery tag, in order
    tags = count_from(1)
    finished = False

    def send(channel: Any, message: tuple[bytes, Mapping[str, Any]]) -> None:
        body, properties = message
        waiting[next(tags)] = message
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2, **properties), mandatory=True)

    def on_channel(channel: Any) -> None:
        channel.add_on_return_callback(on_return)
        channel.add_on_close_callback(on_close)
        channel.confirm_delivery(lambda frame: on_confirm(channel, frame.method))
        for message in messages:
            send(channel, message)
        finish_if_confirmed()

    def on_confirm(channel: Any, confirm: Any) -> None:
        tag = confirm.delivery_tag
        answered = [waiting.pop(each) for each in (list(takewhile(tag.__ge__, waiting)) if confirm.multiple else [tag])]
        if isinstance(confirm, pika.spec.Basic.Nack):
            for message in answered:
                send(channel, message)
        finish_if_confirmed()

    def finish_if_confirmed() -> None:
        nonlocal finished
        if not waiting and not finished:
            finished = True
            connection.close()

    def on_return(_: Any, method: Any, *__: Any) -> None:
        raise UnroutableError([method.reply_text])

    def on_close(closed: Any, reason: BaseException) -> None:
        if closed is connection:
            connection.ioloop.stop()
        if not finished:
            raise reason

    connection: Any = pika.SelectConnection(
        pika.URLParameters(url),
        on_open_callback=lambda opened: opened.channel(on_open_callback=on_channel),
        on_open_error_callback=on_close,
        on_close_callback=on_close,
    )
    try:
        connection.ioloop.start()
    finally:
        connection.ioloop.close()


def count(url: str, queue: str, *, expected: int | None = None) -> int:
    """Messages that wait in the queue, those handed out to consumers left out.

    As soon as that is what is `expected`, or as it is after ten seconds: what a consumer leaves behind is taken back in
    the broker's own time, and a queue too busy to be asked counts as empty.
    """
    deadline = time.monotonic() + 10
    with channel(url) as broker:
        while True:
            found = int(broker.queue_declare(queue, passive=True).method.message_count)
            if expected in (None, found) or time.monotonic() > deadline:
                return found
            time.sleep(0.05)


def drain(url: str, queue: str) -> list[tuple[bytes, Mapping[str, Any]]]:
    """Take all that waits in the queue: bodies with their headers, in order."""
    taken = []
    with channel(url) as broker:
        while (message := broker.basic_get(queue, auto_ack=True))[0] is not None:
            _, properties, body = message
            taken.append((body, properties.headers or {}))
    return taken


def delete(url: str, queue: str) -> None:
    with channel(url) as broker:
        broker.queue_delete(queue)
