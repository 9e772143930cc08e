"""A daemon that does not run: its store, read only, behind the API that it would serve."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import httpx

    from bridge.admin.api.operation import Management
    from bridge.config.models.document import Settings

KEPT = ("hubs", "notifications", "statistics", "dead-letters", "audit", "users", "journal", "silences")
"""First segments of the paths of what a store keeps; recent events and status are in a daemon's memory alone."""

IN_STORE: Mapping[tuple[str, ...], tuple[str, ...]] = {("events",): ("journal",)}
"""Paths of what a daemon has in memory, and where a store has the like."""


def answer_at_rest(
    settings: "Settings", config_hash: str, store: Path, url: str, params: Mapping[str, Any]
) -> "httpx.Response":
    """The answer of the admin API to a GET, from the store as it is. Raises: StoreError."""
    return asyncio.run(_answer(settings, config_hash, store, url, params))


async def _answer(
    settings: "Settings", config_hash: str, store: Path, url: str, params: Mapping[str, Any]
) -> "httpx.Response":
    import httpx
    from starlette.applications import Starlette

    from bridge.admin.api.operation import PREFIX
    from bridge.admin.api.routes import routes
    from bridge.admin.roles import Caller, Role
    from hub.store.sqlite.read_only import ReadOnlyStore

    stored = ReadOnlyStore(store)
    await stored.open()
    try:
        # Who can read the file can read all that is in it.
        app = Starlette(routes=routes(_management(settings, config_hash, stored), caller=Caller(Role.ADMIN)))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://store{PREFIX}") as client:
            return await client.get(url, params=dict(params))
    finally:
        await stored.close()


def _management(settings: "Settings", config_hash: str, store: object) -> "Management":
    """Of the process what a look at its store needs."""
    hub = SimpleNamespace(store=store)
    return cast("Management", SimpleNamespace(hub=hub, settings=settings, config_hash=config_hash, health=list))
