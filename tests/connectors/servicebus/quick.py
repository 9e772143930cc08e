"""Waiting times for tests, which see locks and silences that are shorter than the cloud's."""

import pytest
from azure.servicebus._pyamqp.aio import AMQPClientAsync

from connectors.servicebus import locks, receiver, sessions, source


def be_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle answer, a fresh count and a look at the locks do not take their second; nor does the SDK to close.

    It waits for its keep-alive to wake up, which a connection that lives for seconds does without.
    """
    monkeypatch.setattr(source, "IDLE_WAIT", 0.1)
    monkeypatch.setattr(source, "BACKLOG_AGE", 0.0)
    monkeypatch.setattr(locks, "TICK", 0.1)
    monkeypatch.setattr(sessions, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(AMQPClientAsync, "_keep_alive_async", _none)


def be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come is not waited for for long; for tests that lose one, as a busy machine is slow."""
    monkeypatch.setattr(receiver, "SETTLE_TIMEOUT", 2.0)
    monkeypatch.setattr(receiver, "PROBE_TIMEOUT", 1.0)


async def _none(client: AMQPClientAsync) -> None:
    pass
