"""A stand-in for the Microsoft Push Notification Service of Windows Phone 7 and 8, which Microsoft has retired."""

import ssl
import uuid

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.journal import Journal
from sandbox.service import PUSH_ID_HEADER, PushService

MAX_PAYLOAD = 3072
"""Bytes; unconfirmed."""

_CLASSES = {"toast": ("2", "12", "22"), "token": ("1", "11", "21"), "": ("3", "13", "23")}
"""What `X-NotificationClass` may be for each `X-WindowsPhone-Target`."""

_SUBSCRIPTIONS = {404: "Expired", 412: "Active"}


class Mpns(PushService):
    """MPNS as far as a sender notices; senders are anonymous. A scripted 200 names a value of X-NotificationStatus.

    With `accept_unknown` every channel URI of this service belongs to a living app.
    """

    name = "mpns"
    versions = ("http/1.1",)

    def __init__(self, *, journal: Journal, context: ssl.SSLContext, accept_unknown: bool = False) -> None:
        super().__init__(journal=journal, context=context)
        self.accept_unknown = accept_unknown
        self._known: dict[str, bool] = {}

    def register(self, handle: str) -> None:
        """A living channel."""
        self._known[handle] = True

    def unregister(self, handle: str) -> None:
        """The channel is expired: 404."""
        self._known[handle] = False

    def _serve(self, exchange: Exchange) -> None:
        handle, refusal = self.url + exchange.path, None
        try:
            self._examine(exchange, handle)
            self.faults.strike(handle)
        except RefusedError as error:
            refusal = error
        push_id = exchange.headers.get(PUSH_ID_HEADER, "")
        self._conclude(exchange, _answer(exchange, refusal), handle=handle, push_id=push_id, refusal=refusal)

    def _examine(self, exchange: Exchange, handle: str) -> None:
        """Everything MPNS looks at.

        Raises: RefusedError.
        """
        if exchange.method != "POST":
            raise RefusedError(405, "Method not allowed")
        if not self._known.get(handle, self.accept_unknown):
            raise RefusedError(404, "Expired")
        if exchange.headers.get("content-type", "").partition(";")[0] != "text/xml" or exchange.chunked:
            raise RefusedError(400, "Content-Type is text/xml")
        target = exchange.headers.get("x-windowsphone-target", "")
        if exchange.headers.get("x-notificationclass", "") not in _CLASSES.get(target, ()):
            raise RefusedError(400, "X-NotificationClass is not one of the target's")
        if not exchange.body:
            raise RefusedError(400, "The notification is empty")
        if len(exchange.body) > MAX_PAYLOAD:
            raise RefusedError(413, "The notification is too large")


def _answer(exchange: Exchange, refusal: RefusedError | None) -> Answer:
    status = 200 if refusal is None else refusal.status
    said = "Received" if refusal is None else refusal.reason if status == 200 else "Dropped"
    headers = [
        ("X-NotificationStatus", said),
        ("X-DeviceConnectionStatus", "Inactive" if status == 412 else "Connected"),
        ("X-SubscriptionStatus", _SUBSCRIPTIONS.get(status, "Active")),
        ("X-MessageID", exchange.headers.get("x-messageid", str(uuid.uuid4()))),
    ]
    retry_after = None if refusal is None else refusal.retry_after_value()
    return Answer(status=status, headers=(*headers, *((("Retry-After", retry_after),) if retry_after else ())))
