"""The contract of a push service: a page of pushes in, a count and exceptions out."""

from typing import Protocol

from hub.notification import Platform
from hub.push import PageVerdict, PushPage
from hub.requests import Requests

PUSH_ID_HEADER = "x-pushbridge-id"
"""Carries the push id to services that have no header of their own for it; a push keeps its id on every try."""


class Sender(Protocol):
    """One (platform, credential). Building it does no I/O; connections open with the first push."""

    platform: Platform

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        """A verdict on every push within `deadline` seconds; never raises for what a service answers.

        Never repeats a push that the service may have taken, but for an answer that says our token was stale: then the
        token is renewed once and those pushes are sent once more. Every other retry is the engine's.
        """

    def requests(self, page: PushPage, *, token: str) -> Requests:
        """What `send` posts for a page, made as it is read, with `token` where the access token stands. Sends nothing."""

    async def close(self) -> None:
        """Close all connections; pushes under way end as RETRY. May be called twice."""
