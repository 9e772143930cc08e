"""What goes wrong at a service, on request; the same script for all of them.

Scripted answers, holds and drops hit only pushes that the service would have taken: a bad one keeps its own refusal.
Everything stays until its `times` are used up, it is set again, or `clear` is called.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.exchange import Answer, BodyShape, Exchange, RefusedError, RetryAfter


@dataclass(slots=True, kw_only=True)
class _Script:
    refusal: RefusedError
    times: int | None
    handle: str | None
    share: float


class Faults:
    """The faults of one service; `seed` makes shares repeatable."""

    def __init__(self, *, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._held: list[tuple[Exchange, Answer]] = []
        self.clear()

    def clear(self) -> None:
        """Nothing goes wrong any more; what was held is answered."""
        self.silent = False
        self.certificate_has_expired = False
        self.goaway_after_requests: int | None = None
        self.goaway_reason = ""
        self.window_update_delay = 0.0
        self._scripts: list[_Script] = []
        self._refusals_left = 0
        self._drops: list[bool] = []
        self._latency: Callable[[], float] | None = None
        self._holding = False
        self.release()

    def answer(
        self,
        status: int,
        reason: str = "",
        *,
        retry_after: RetryAfter = None,
        times: int | None = None,
        handle: str | None = None,
        share: float = 1.0,
        body: BodyShape = "whole",
    ) -> None:
        """Answer pushes with `status` and `reason` in the service's own format.

        It hits the next `times` pushes (None: until cleared), of `handle` only if given, and of those the `share`
        between 0 and 1. The first script that fits a push is the one used. For WNS a `reason` with status 200 is the
        value of X-WNS-Status.
        """
        refusal = RefusedError(status, reason, retry_after=retry_after, body_shape=body)
        self._scripts.append(_Script(refusal=refusal, times=times, handle=handle, share=share))

    def latency(self, seconds: float | Callable[[], float]) -> None:
        """Answer this much later; a callable is asked for every push, so that it can draw from a distribution."""
        self._latency = seconds if callable(seconds) else lambda: seconds

    def drop_connection(self, *, times: int = 1, accepted: bool = True) -> None:
        """Break the connection off instead of answering the next `times` pushes.

        `accepted` says whether the service has taken the push: the client cannot tell one from the other.
        """
        self._drops += [accepted] * times

    def refuse_stream(self, *, times: int = 1) -> None:
        """Reset the next `times` streams with REFUSED_STREAM (RFC 9113 section 8.7: safe to send again)."""
        self._refusals_left += times

    def goaway_after(self, requests: int | None, *, reason: str = "") -> None:
        """Let each connection serve `requests` requests; the next one is answered by GOAWAY and not looked at.

        `reason` goes out as JSON in the debug data, as APNs sends it. None ends it.
        """
        self.goaway_after_requests = requests
        self.goaway_reason = reason

    def slow_window_updates(self, seconds: float) -> None:
        """Give the client its flow-control window back this much later."""
        self.window_update_delay = seconds

    def black_hole(self, on: bool = True) -> None:
        """Read and write nothing, no PING acknowledgement either; TCP and TLS still work.

        When it ends, a connection that lost something in it is reset as soon as the client uses it.
        """
        self.silent = on

    def expire_certificate(self, on: bool = True) -> None:
        """Show an expired certificate to new connections; those that are open stay."""
        self.certificate_has_expired = on

    def hold(self) -> None:
        """Take pushes into the journal, but do not answer before `release`."""
        self._holding = True

    def release(self) -> None:
        """Answer all that was held, in order of arrival, and hold no more."""
        self._holding = False
        held, self._held = self._held, []
        for exchange, answer in held:
            exchange.answer(answer)

    @property
    def held(self) -> int:
        """How many answers are held back."""
        return len(self._held)

    def strike(self, handle: str) -> None:
        """Raise the scripted answer for a push to `handle`, if there is one.

        Raises: RefusedError.
        """
        for script in self._scripts:
            if script.handle not in (None, handle) or self._random.random() >= script.share:
                continue
            if script.times is not None:
                script.times -= 1
                if script.times == 0:
                    self._scripts.remove(script)
            raise script.refusal.with_traceback(None)  # else the one object would collect the frames of every raise

    def takes_stream(self) -> bool:
        """Whether a new stream may live; a scripted refusal is used up by asking."""
        if self._refusals_left == 0:
            return True
        self._refusals_left -= 1
        return False

    def takes_drop(self) -> bool | None:
        """None when the connection lives on; else whether the push that breaks it was accepted."""
        return self._drops.pop(0) if self._drops else None

    def deliver(self, exchange: Exchange, answer: Answer, *, taken: bool) -> None:
        """Answer now, later, or when released; `taken` says that it is good news."""
        if self._holding and taken:
            self._held.append((exchange, answer))
        elif self._latency is not None:
            asyncio.get_running_loop().call_later(self._latency(), exchange.answer, answer)
        else:
            exchange.answer(answer)
