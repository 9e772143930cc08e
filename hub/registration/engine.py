"""Where a phone's installation is kept: in this process, or at a remote hub."""

from dataclasses import replace
from typing import Protocol

from hub.errors import NotFoundError
from hub.installation import Installation


class Installations(Protocol):
    """What the hub of this process does with installations."""

    async def put_installation(self, hub: str, installation: Installation) -> None:
        """Raises: InvalidRequestError, StoreError."""

    async def get_installation(self, hub: str, installation_id: str) -> Installation:
        """Raises: NotFoundError, StoreError."""

    async def delete_installation(self, hub: str, installation_id: str) -> None:
        """Raises: StoreError."""


class Engine(Protocol):
    """Keeps the installations of one hub."""

    async def put(self, installation: Installation) -> None:
        """Create or replace. Raises: GoneError: never under this id again; InvalidRequestError; EngineError."""

    async def delete(self, installation_id: str) -> None:
        """An unknown id is fine. Raises: EngineError."""

    async def has(self, installation: Installation) -> bool:
        """Whether it is there still, with a push channel that lives; an engine that cannot say so takes it for granted."""

    async def close(self) -> None: ...


class LocalEngine:
    """The hub of this process."""

    def __init__(self, hub: str, installations: Installations) -> None:
        self._hub = hub
        self._installations = installations

    async def put(self, installation: Installation) -> None:
        await self._installations.put_installation(self._hub, installation)

    async def delete(self, installation_id: str) -> None:
        await self._installations.delete_installation(self._hub, installation_id)

    async def has(self, installation: Installation) -> bool:
        try:
            kept = await self._installations.get_installation(self._hub, installation.id)
        except NotFoundError:
            return False
        return replace(kept, expires_at=installation.expires_at) == installation

    async def close(self) -> None:
        """Nothing is to be closed."""
