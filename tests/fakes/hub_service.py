"""The engine behind the wire API, in memory: what was asked of it can be read, and what it raises can be set."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hub.delivery.probing import TestResult
from hub.errors import ConfirmationError, NotFoundError
from hub.installation import Installation, Registration
from hub.job import Job
from hub.notification import Notification, Platform, TemplateContent
from hub.origin import Origin
from hub.outcome import NotificationDetails, State
from hub.phone_report import PhoneReport, ReportOutcome, TakenReports
from hub.store.contracts.listing import ListPage
from hub.store.contracts.registry import DeadChannel


class FakeHubService:
    """Keeps installations and notifications by hub and id; raises `failure` from every call while it is set."""

    def __init__(self) -> None:
        self.needs_confirmation = 0
        self.installations: dict[tuple[str, str], Installation] = {}
        self.registrations_kept: dict[tuple[str, str], Registration] = {}
        self.direct: dict[str, list[str]] = {}
        self.notifications: dict[str, Notification] = {}
        self.origins: dict[str, Origin | None] = {}
        self.jobs_kept: dict[tuple[str, str], Job] = {}
        self.reported: list[tuple[str, str, Sequence[PhoneReport]]] = []
        self.failure: Exception | None = None

    async def put_installation(self, hub: str, installation: Installation) -> None:
        self._fail()
        self.installations[hub, installation.id] = installation

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        self._fail()
        if (hub, installation_id) not in self.installations:
            raise NotFoundError("Installation not found.")
        return self.installations[hub, installation_id]

    async def change_installation(
        self, hub: str, installation_id: str, change: Callable[[Installation], Installation]
    ) -> None:
        await self.put_installation(hub, change(await self.get_installation(hub, installation_id)))

    async def delete_installation(self, hub: str, installation_id: str) -> None:
        self._fail()
        self.installations.pop((hub, installation_id), None)

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        self._fail()
        self.registrations_kept[hub, registration.registration_id] = registration
        return registration

    async def get_registration(self, hub: str, registration_id: str) -> Registration:
        self._fail()
        if (hub, registration_id) not in self.registrations_kept:
            raise NotFoundError("no such registration")
        return self.registrations_kept[hub, registration_id]

    async def delete_registration(self, hub: str, registration_id: str, *, if_match: int | None = None) -> None:
        await self.get_registration(hub, registration_id)
        del self.registrations_kept[hub, registration_id]

    async def registrations(
        self, hub: str, *, tag: str | None = None, after: str = "", limit: int
    ) -> ListPage[Registration]:
        self._fail()
        kept = [one for (of, _), one in self.registrations_kept.items() if of == hub]
        return ListPage(items=[one for one in kept if tag is None or tag in one.tags])

    async def registrations_of(
        self, hub: str, channels: Sequence[tuple[Platform, str]], *, after: str = "", limit: int
    ) -> ListPage[Registration]:
        kept = (await self.registrations(hub, limit=limit)).items
        return ListPage(items=[one for one in kept if (one.platform, one.push_channel) in channels])

    async def dead_channels(self, hub: str, *, after: str = "", limit: int) -> ListPage[DeadChannel]:
        return ListPage(items=())

    async def send(self, notification: Notification, *, confirmed: int = 0, origin: Origin | None = None) -> str:
        self._fail()
        if confirmed < self.needs_confirmation:
            raise ConfirmationError("The notification is for many", count=self.needs_confirmation, above=1)
        self.notifications.setdefault(notification.id, notification)
        self.origins[notification.id] = origin
        return notification.id

    async def send_direct(self, notification: Notification, push_channels: Sequence[str]) -> str:
        self.direct[notification.id] = list(push_channels)
        return await self.send(notification)

    async def send_test(self, notification: Notification, *, push_channel: str = "") -> Sequence[TestResult]:
        self._fail()
        return ()

    async def end_test(self, hub: str, results: Sequence[TestResult]) -> None:
        self._fail()

    async def cancel(self, hub: str, notification_id: str) -> None:
        await self.details(hub, notification_id)
        del self.notifications[notification_id]

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

    async def report(
        self, hub: str, installation_id: str, reports: Sequence[PhoneReport], *, with_key: bool
    ) -> TakenReports:
        assert with_key
        platform = (await self.get_installation(hub, installation_id)).platform
        self.reported.append((hub, installation_id, reports))
        return TakenReports(platform=platform, outcomes=[ReportOutcome.ACCEPTED] * len(reports))

    async def submit_job(self, job: Job) -> Job:
        self._fail()
        job = replace(job, id=str(len(self.jobs_kept)))
        self.jobs_kept[job.hub, job.id] = job
        return job

    async def job(self, hub: str, job_id: str) -> Job:
        self._fail()
        if (hub, job_id) not in self.jobs_kept:
            raise NotFoundError("no such job")
        return self.jobs_kept[hub, job_id]

    async def jobs(self, hub: str, *, after: str = "", limit: int) -> ListPage[Job]:
        self._fail()
        return ListPage(items=[job for (of, _), job in self.jobs_kept.items() if of == hub])

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
