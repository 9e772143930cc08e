"""The engine behind the wire API, in memory: what was asked of it can be read, and what it raises can be set."""

from datetime import UTC, datetime

from hub.errors import NotFoundError
from hub.installation import Installation
from hub.notification import Notification, TemplateContent
from hub.outcome import NotificationDetails, State


class FakeHubService:
    """Keeps installations and notifications by hub and id; raises `failure` from every call while it is set."""

    def __init__(self) -> None:
        self.installations: dict[tuple[str, str], Installation] = {}
        self.notifications: dict[str, Notification] = {}
        self.failure: Exception | None = None

    async def put_installation(self, hub: str, installation: Installation) -> None:
        self._fail()
        self.installations[hub, installation.id] = installation

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        self._fail()
        if (hub, installation_id) not in self.installations:
            raise NotFoundError("Installation not found.")
        return self.installations[hub, installation_id]

    async def delete_installation(self, hub: str, installation_id: str) -> None:
        self._fail()
        self.installations.pop((hub, installation_id), None)

    async def send(self, notification: Notification) -> str:
        self._fail()
        self.notifications.setdefault(notification.id, notification)
        return notification.id

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        self._fail()
        notification = self.notifications.get(notification_id)
        if notification is None or notification.hub != hub:
            raise NotFoundError(f"notification {notification_id} not found")
        content = notification.content
        return NotificationDetails(
            notification_id=notification_id,
            state=State.ENQUEUED,
            enqueued_at=datetime(2030, 1, 1, tzinfo=UTC),
            body="" if isinstance(content, TemplateContent) else content.payload.decode(),
            counts={},
        )

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
