"""What the wire API asks of the engine."""

from collections.abc import Callable, Sequence
from typing import Protocol

from hub.delivery.probing import TestResult
from hub.installation import Installation, Registration
from hub.job import Job
from hub.notification import Notification, Platform
from hub.origin import Origin
from hub.outcome import NotificationDetails
from hub.phone_report import PhoneReport, TakenReports
from hub.store.contracts.listing import ListPage
from hub.store.contracts.registry import DeadChannel


class HubService(Protocol):
    """The engine as the API sees it. Ids come from clients and may be any text. Every call may raise StoreError."""

    async def put_installation(self, hub: str, installation: Installation) -> None:
        """Create or replace it; a read that follows sees it."""

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        """Raises: NotFoundError."""

    async def change_installation(
        self, hub: str, installation_id: str, change: Callable[[Installation], Installation]
    ) -> None:
        """Replace it by what `change` makes of it. Raises: NotFoundError, PreconditionError; what `change` raises."""

    async def delete_installation(self, hub: str, installation_id: str) -> None:
        """Remove it with its registrations; an unknown id is no error."""

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        """Create or replace it; the answer carries its ETag. `if_match` may be `ANY_ETAG`.

        Raises: GoneError, InvalidRequestError; NotFoundError, PreconditionError with `if_match`.
        """

    async def get_registration(self, hub: str, registration_id: str) -> Registration:
        """Raises: NotFoundError."""

    async def delete_registration(self, hub: str, registration_id: str, *, if_match: int | None = None) -> None:
        """Raises: NotFoundError, PreconditionError, InvalidRequestError."""

    async def registrations(
        self, hub: str, *, tag: str | None = None, after: str = "", limit: int
    ) -> ListPage[Registration]:
        """Those that live, with those that derive from installations; with `tag` those that carry it."""

    async def registrations_of(
        self, hub: str, channels: Sequence[tuple[Platform, str]], *, after: str = "", limit: int
    ) -> ListPage[Registration]:
        """As `registrations`, those of these push channels."""

    async def dead_channels(self, hub: str, *, after: str = "", limit: int) -> ListPage[DeadChannel]:
        """Push channels that a push service said to be dead, the first to die first."""

    async def send(self, notification: Notification, *, confirmed: int = 0, origin: Origin | None = None) -> str:
        """Take a notification; returns its wire id once it is durable. The same `id` again is the same notification.

        `confirmed` is for how many registrations the client says that it may be. `origin` is the event of another
        pushbridge that caused it, which is kept beside it.

        Raises: CapacityError; ConfirmationError: it is for more.
        """

    async def send_direct(self, notification: Notification, push_channels: Sequence[str]) -> str:
        """As `send`, a native notification for push channels that need not be registered, and for nothing else."""

    async def send_test(self, notification: Notification, *, push_channel: str = "") -> Sequence[TestResult]:
        """Send at once to a few of the audience, or to `push_channel` alone, and store nothing."""

    async def end_test(self, hub: str, results: Sequence[TestResult]) -> None:
        """Let what the push services said of push channels in a test send take effect."""

    async def cancel(self, hub: str, notification_id: str) -> None:
        """Raises: NotFoundError: no such notification waits for its time."""

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        """Raises: NotFoundError."""

    async def report(
        self, hub: str, installation_id: str, reports: Sequence[PhoneReport], *, with_key: bool
    ) -> TakenReports:
        """What an installation says of its pushes. Raises: NotFoundError: there is none; CapacityError: too often."""

    async def submit_job(self, job: Job) -> Job:
        """Keep a new job, to which id and times are given. Raises: CapacityError."""

    async def job(self, hub: str, job_id: str) -> Job:
        """Raises: NotFoundError."""

    async def jobs(self, hub: str, *, after: str = "", limit: int) -> ListPage[Job]:
        """Newest first."""
