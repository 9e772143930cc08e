"""Waiting times for tests, which see locks and silences that are shorter than the cloud's."""

from dataclasses import replace

import pytest
from azure.servicebus._pyamqp.aio import AMQPClientAsync

from connectors.servicebus.timing import Timing

QUICK = Timing(idle_wait=0.1, backlog_age=0.0, tick=0.1, first_wait=0.2)
"""An idle answer, a fresh count and a look at the locks do not take their second."""

IMPATIENT = replace(QUICK, settle=2.0, probe=1.0)
"""An answer that does not come is not waited for for long; for tests that lose one, as a busy machine is slow."""


def close_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the SDK close without waiting for its keep-alive to wake up, which a short connection does without."""
    monkeypatch.setattr(AMQPClientAsync, "_keep_alive_async", _none)


async def _none(client: AMQPClientAsync) -> None:
    pass
