"""A registry as plain dictionaries, and who of it an expression means: each registration is tried by itself.

Rules are the wire contract's (Notification Hubs, "Routing and tag expressions", and "Installation"): nothing here is
imported from the hub, so that a mistake in its parser, its index or its decisions is none here.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
Reached = Counter[tuple[str, str, str]]
"""How often a push channel gets a text: (platform, push channel, template body; empty for native)."""


@dataclass(slots=True)
class Phone:
    """An installation, or a registration that a client made alone (`is_single`), as its document says."""

    document: Document
    is_single: bool = False
    is_dead: bool = False
    dead_tiles: set[str] = field(default_factory=set)

    def lives_at(self, now: float) -> bool:
        return float(self.document.get("expires", "inf")) > now

    @property
    def owner(self) -> str | None:
        return self.document.get("userId") or next(
            (tag[len("$UserId:{") : -1] for tag in self.document["tags"] if tag.startswith("$UserId:{")), None
        )

    def registrations(self, id: str) -> Iterator[tuple[str, str, set[str], bool]]:
        """(push channel, template body or nothing, tags, whether the push channel is dead) of each."""
        mine, service = self.document, set[str]()
        if not self.is_single:
            service.add(f"$InstallationId:{{{id}}}")
            if "userId" in mine:
                service.add(f"$UserId:{{{mine['userId']}}}")
        yield from self._of(mine, service, self.is_dead)
        for name, tile in mine.get("secondaryTiles", {}).items():
            yield from self._of(tile, service, name in self.dead_tiles)

    def _of(self, part: Document, service: set[str], is_dead: bool) -> Iterator[tuple[str, str, set[str], bool]]:
        tags = service | set(part["tags"])
        if not (self.is_single and part["templates"]):
            yield part["pushChannel"], "", tags, is_dead
        for name, template in part["templates"].items():
            own = set() if self.is_single else {name, *template["tags"]}
            yield part["pushChannel"], template["body"], tags | own, is_dead


@dataclass(slots=True)
class Phones:
    """All phones of a hub by id."""

    by_id: dict[str, Phone] = field(default_factory=dict)

    def put(self, id: str, document: Document) -> None:
        """A push channel that another user's installation has is this phone's from now on."""
        phone = self.by_id[id] = Phone(document)
        channels = {document["pushChannel"]: ""} | {
            tile["pushChannel"]: name for name, tile in document.get("secondaryTiles", {}).items()
        }
        for other_id, other in self.by_id.items():
            if other_id == id or other.is_single or _folded(other.owner) == _folded(phone.owner):
                continue
            if other.document["platform"] != document["platform"]:
                continue
            other.is_dead = other.is_dead or other.document["pushChannel"] in channels
            for name, tile in other.document.get("secondaryTiles", {}).items():
                if tile["pushChannel"] in channels:
                    other.dead_tiles.add(name)

    def patch(self, id: str, document: Document) -> None:
        """As `put`, but a push channel that is dead and stays stays dead."""
        old = self.by_id[id]
        self.put(id, document)
        new, before = self.by_id[id], old.document
        new.is_dead = old.is_dead and before["pushChannel"] == document["pushChannel"]
        tiles = document.get("secondaryTiles", {})
        new.dead_tiles = {
            name
            for name in old.dead_tiles
            if name in tiles and tiles[name]["pushChannel"] == before["secondaryTiles"][name]["pushChannel"]
        }

    def put_single(self, id: str, document: Document) -> None:
        self.by_id[id] = Phone(document, is_single=True)

    def kill(self, platform: str, channel: str) -> None:
        """A push service said that the channel is dead."""
        for phone in self.by_id.values():
            if phone.document["platform"] == platform:
                phone.is_dead = phone.is_dead or phone.document["pushChannel"] == channel
                tiles = phone.document.get("secondaryTiles", {})
                phone.dead_tiles |= {name for name, tile in tiles.items() if tile["pushChannel"] == channel}

    def reached(
        self,
        means: Callable[[set[str]], bool],
        *,
        native: str | None,
        platforms: set[str] | None,
        now: float,
    ) -> tuple[Reached, int]:
        """Who gets what of a native notification for a platform or of a template one; how many are left out as doubles."""
        found: Reached = Counter()
        for id, phone in self.by_id.items():
            platform = phone.document["platform"]
            if not phone.lives_at(now) or platform != (native or platform):
                continue
            if platforms is not None and platform not in platforms:
                continue
            for channel, body, tags, is_dead in phone.registrations(id):
                if not is_dead and (body == "") is (native is not None) and means({tag.casefold() for tag in tags}):
                    found[platform, channel, body] += 1
        if native is None:
            return found, 0
        return Counter(dict.fromkeys(found, 1)), found.total() - len(found)


def _folded(text: str | None) -> str | None:
    """How the contract compares tags; ids here are ASCII, for which both ways of folding agree."""
    return None if text is None else text.casefold()


def carries(tags: set[str]) -> Mapping[str, Callable[[str], bool]]:
    """What an expression in Python's words asks: `has("news")`."""
    return {"has": lambda tag: tag.casefold() in tags}
