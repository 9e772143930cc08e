"""`$cbs`: clients put a token for each entity they are about to use (AMQP claims-based security)."""

from sandbox.servicebus.amqp import DecodeError
from sandbox.servicebus.amqp.types import Int
from sandbox.servicebus.content import Content, value_of
from sandbox.servicebus.faults import Faults
from sandbox.servicebus.replies import reply


class Cbs:
    """Takes any token, unless the faults say otherwise: who can reach the loopback may use the broker."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def answer(self, request: Content) -> bytes:
        status, description = self._verdict(request)
        return reply(request, {"status-code": Int(status), "status-description": description})

    def _verdict(self, request: Content) -> tuple[int, str]:
        asked = request.application_properties
        if asked.get("operation") != "put-token":
            return 400, f"there is no operation {asked.get('operation')!r}"
        try:
            token = value_of(request)
        except DecodeError as error:
            return 400, str(error)
        status = self._faults.token_verdict(str(asked.get("name")), str(token))
        return status, "Accepted" if status < 300 else "InvalidSignature: the token is not accepted"
