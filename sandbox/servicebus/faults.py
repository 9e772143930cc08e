"""What goes wrong at the broker, on request.

What a test sets here stays until its `times` are used up, it is set again, or `clear` is called. What strikes
existing connections at once (cutting, detaching, closing, expiring locks) are methods of `ServiceBus`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sandbox.servicebus import conditions
from sandbox.servicebus.amqp import AmqpError

Trace = Callable[[str, int, object], None]
"""Hears of every frame: "in" or "out", the channel, and what is said."""

TokenVerdict = Callable[[str, str], int]
"""Says of an audience and a token which status `$cbs` answers: 202, or 401 to refuse it."""


@dataclass(slots=True, kw_only=True)
class _Script:
    """A refusal that strikes `times` times after it has let `after` pass; at `path` only, if given."""

    error: AmqpError
    path: str | None
    times: int | None
    after: int = 0


class Faults:
    """The faults of one broker."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.token_verdict: TokenVerdict = lambda audience, token: 202
        self.delay = 0.0
        """Seconds by which everything that the broker says comes later."""
        self.silent = False
        """Nothing is read and nothing is said; TCP still works. Connections that lost something in it are cut after."""
        self.strict_management_credit = False
        """Whether answers of `$management` and `$cbs` need credit, which clients grant once: 10,000 of it."""
        self.oversize: Literal["reject", "detach"] = "reject"
        """What becomes of a message that is too large: it is rejected, or its link is detached."""
        self.trace: Trace | None = None
        self._attaches: list[_Script] = []
        self._sends: list[_Script] = []
        self._requests: list[_Script] = []
        self._send_cuts: list[tuple[int, bool]] = []
        self._swallowed: list[bool] = []

    def refuse_attach(
        self,
        condition: str = conditions.SERVER_BUSY,
        *,
        path: str | None = None,
        times: int | None = None,
        description: str = "refused on request",
    ) -> None:
        """Refuse the next links, to `path` (as a client names it) only if given."""
        self._attaches.append(_Script(error=AmqpError(condition, description), path=path, times=times))

    def reject_sends(
        self,
        condition: str = conditions.SERVER_BUSY,
        *,
        path: str | None = None,
        times: int | None = None,
        after: int = 0,
        description: str = "refused on request",
    ) -> None:
        """Reject messages, once `after` of them have been let through."""
        self._sends.append(_Script(error=AmqpError(condition, description), path=path, times=times, after=after))

    def fail_requests(
        self,
        condition: str = conditions.SERVER_BUSY,
        *,
        operation: str | None = None,
        times: int | None = None,
        description: str = "refused on request",
    ) -> None:
        """Refuse management operations, such as `renew-lock`."""
        self._requests.append(_Script(error=AmqpError(condition, description), path=operation, times=times))

    def cut_on_send(self, *, after: int = 0, stored: bool = True) -> None:
        """Cut the connection on the message behind the next `after` ones instead of an answer.

        `stored` says whether the broker has taken the message: the client cannot tell.
        """
        self._send_cuts.append((after, stored))

    def swallow_settlements(self, *, times: int = 1, applied: bool = True) -> None:
        """Do not answer the next settlements; `applied` says whether they have had effect."""
        self._swallowed += [applied] * times

    def strike_attach(self, path: str) -> None:
        """Raise the scripted refusal of a link to `path`, if there is one. Raises: AmqpError."""
        _strike(self._attaches, path)

    def strike_send(self, path: str) -> None:
        """Raise the scripted refusal of a message to `path`, if there is one. Raises: AmqpError."""
        _strike(self._sends, path)

    def strike_request(self, operation: str) -> None:
        """Raise the scripted refusal of a management operation, if there is one. Raises: AmqpError."""
        _strike(self._requests, operation)

    def takes_send_cut(self) -> bool | None:
        """None when the connection lives on; else whether the message that breaks it was taken."""
        if not self._send_cuts:
            return None
        after, stored = self._send_cuts[0]
        if after:
            self._send_cuts[0] = (after - 1, stored)
            return None
        del self._send_cuts[0]
        return stored

    def takes_swallow(self) -> bool | None:
        """None when a settlement is answered; else whether it has effect."""
        return self._swallowed.pop(0) if self._swallowed else None


def _strike(scripts: list[_Script], path: str) -> None:
    for script in scripts:
        if script.path is not None and script.path.lower() != path.lower():
            continue
        if script.after:
            script.after -= 1
            return
        if script.times is not None:
            script.times -= 1
            if script.times == 0:
                scripts.remove(script)
        raise script.error.with_traceback(None)  # else the one object would collect the frames of every raise
