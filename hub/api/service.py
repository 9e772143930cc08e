"""What the wire API asks of the engine."""

from typing import Protocol

from hub.installation import Installation
from hub.notification import Notification
from hub.outcome import NotificationDetails


class HubService(Protocol):
    """The engine as the API sees it. Ids come from clients and may be any text. Every call may raise StoreError."""

    async def put_installation(self, hub: str, installation: Installation) -> None:
        """Create or replace it; a read that follows sees it."""

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        """Raises: NotFoundError."""

    async def delete_installation(self, hub: str, installation_id: str) -> None:
        """Remove it with its registrations; an unknown id is no error."""

    async def send(self, notification: Notification) -> str:
        """Take a notification; returns its wire id once it is durable. The same `id` again is the same notification.

        Raises: CapacityError.
        """

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        """Raises: NotFoundError."""
