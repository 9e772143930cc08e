"""`$cbs`: clients put a token for each entity they are about to use (AMQP claims-based security)."""

from collections.abc import Callable

from sandbox.servicebus.amqp import DecodeError
from sandbox.servicebus.amqp.types import Int
from sandbox.servicebus.content import Content, value_of
from sandbox.servicebus.faults import Faults
from sandbox.servicebus.policies import Grant, Policies, TokenError
from sandbox.servicebus.pump import Clock
from sandbox.servicebus.replies import reply


class Cbs:
    """Takes any token, unless policies or faults say otherwise: who can reach the loopback may use the broker.

    `granted` gets what a token allows, where there are `policies`.
    """

    def __init__(
        self, faults: Faults, policies: Policies | None, *, granted: Callable[[Grant], None], clock: Clock
    ) -> None:
        self._faults = faults
        self._policies = policies
        self._granted = granted
        self._clock = clock

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
        if status >= 300:
            return status, "InvalidSignature: the token is not accepted"
        if self._policies is not None:
            try:
                self._granted(self._policies.grant(str(token), now=self._clock()))
            except TokenError as error:
                return 401, str(error)
        return status, "Accepted"
