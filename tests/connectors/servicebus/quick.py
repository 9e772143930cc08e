"""Waiting times of the source for tests, which see locks and silences that are shorter than the cloud's."""

import pytest

from connectors.servicebus import locks, receiver, sessions, source


def be_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle answer, a fresh count and a look at the locks do not take their second."""
    monkeypatch.setattr(source, "IDLE_WAIT", 0.1)
    monkeypatch.setattr(source, "BACKLOG_AGE", 0.0)
    monkeypatch.setattr(locks, "TICK", 0.1)
    monkeypatch.setattr(sessions, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(receiver, "SETTLE_TIMEOUT", 2.0)
    monkeypatch.setattr(receiver, "PROBE_TIMEOUT", 1.0)
