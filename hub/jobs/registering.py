"""What jobs ask of the engine."""

from collections.abc import Callable
from typing import Protocol

from hub.installation import Installation, Registration
from hub.store.contracts.listing import ListPage


class Registering(Protocol):
    """The registrations of hubs. Every call may raise StoreError."""

    async def registrations(self, hub: str, *, after: str = "", limit: int) -> ListPage[Registration]:
        """Those that live, with those that derive from installations."""

    async def registration_count(self, hub: str) -> int:
        """How many of them there are."""

    async def get_registration(self, hub: str, registration_id: str) -> Registration:
        """Raises: NotFoundError."""

    async def put_registration(
        self, hub: str, registration: Registration, *, if_match: int | None = None
    ) -> Registration:
        """Raises: GoneError, InvalidRequestError; NotFoundError with `if_match`."""

    async def delete_registration(self, hub: str, registration_id: str) -> None:
        """Raises: NotFoundError, InvalidRequestError."""

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        """Raises: NotFoundError."""

    async def put_installation(self, hub: str, installation: Installation) -> None:
        """Raises: InvalidRequestError."""

    async def change_installation(
        self, hub: str, installation_id: str, change: Callable[[Installation], Installation]
    ) -> None:
        """Raises: NotFoundError, PreconditionError; what `change` raises."""

    async def delete_installation(self, hub: str, installation_id: str) -> None:
        """An unknown id is fine."""
