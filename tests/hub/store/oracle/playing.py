"""Random changes of a registry, made to a store and to the oracle's phones, and random sends that both are asked about."""

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from hub.installation import Installation, Registration, Template
from hub.notification import EVERYONE, NativeContent, Notification, Platform, TemplateContent
from hub.registry.documents import document_of, installation_from_document
from hub.registry.patching import patched
from hub.store.contracts.outbox import Audience
from hub.store.contracts.registry import GoneChannel
from hub.store.registry.registry import SqlRegistry
from hub.tags import MaxTags, parse
from tests.hub.store.oracle.expressions import Said, Speaker
from tests.hub.store.oracle.phones import Document, Phones, Reached, carries

PLATFORMS = ("apns", "fcmv1", "wns", "adm")
TAGS = ("news", "vip", "Sport", "a@b#c.d:e-f_g", "οδός", "straße", "rare", "team:1", "team:2", "tile")
USERS = ("ann", "bob", "Eve.x=1")
MAX_TAGS = 12
BODIES = {
    "apns": '{{"aps":{{"alert":"{0}"}}}}',
    "fcmv1": '{{"data":{{"text":"{0}"}}}}',
    "wns": "<toast><text>{0}</text></toast>",
    "adm": '{{"data":{{"text":"{0}"}}}}',
}


@dataclass(slots=True)
class Played:
    """A hub under random changes: the registry's and the oracle's. `history` says what was done, for a failure."""

    hub: str
    chance: random.Random
    phones: Phones = field(default_factory=Phones)
    history: list[str] = field(default_factory=list)

    async def change(self, registry: SqlRegistry, now: float) -> None:
        """One change of either, the same."""
        kinds = {
            self._put: 6,
            self._patch: 6,
            self._put_single: 3,
            self._delete: 1,
            self._kill: 1,
        }
        chosen = self.chance.choices(list(kinds), list(kinds.values()))[0]
        await chosen(registry, now)

    # Documents

    async def _put(self, registry: SqlRegistry, now: float) -> None:
        id = f"phone-{self.chance.randrange(30)}"
        if id in self.phones.by_id and self.phones.by_id[id].is_single:
            return
        document = self._document(now)
        self._say("put", id, document)
        await registry.put_installations(self.hub, [_installation(id, document)])
        self.phones.put(id, document)

    async def _patch(self, registry: SqlRegistry, now: float) -> None:
        ids = [id for id, phone in self.phones.by_id.items() if not phone.is_single and phone.lives_at(now)]
        if not ids:
            return
        id = self.chance.choice(ids)
        document = deepcopy(self.phones.by_id[id].document)
        operations = [self._operation(document, now) for _ in range(self.chance.randint(1, 3))]
        self._say("patch", id, operations)
        kept = await registry.get_installation(self.hub, id)
        changed = installation_from_document(id, patched(document_of(kept, whole=True), operations))
        await registry.change_installation(self.hub, replace(changed, etag=kept.etag))
        self.phones.patch(id, document)

    def _operation(self, document: Document, now: float) -> Document:
        """A change of a document, made to `document`, and said as the API would be told."""
        kind = self.chance.randrange(8)
        tag = self.chance.choice(TAGS)
        if document["platform"] == "wns" and self.chance.random() < 0.5:
            return self._operation_on_a_tile(document, tag)
        if kind == 0:
            document["tags"] = [*_without(document["tags"], tag), tag]
            return {"op": "add", "path": self.chance.choice(["/tags/" + tag, "/Tags/" + tag])}
        if kind == 1:
            document["tags"] = _without(document["tags"], tag)
            return {"op": "remove", "path": f"/tags/{tag}"}
        if kind == 2:
            user = self.chance.choice(USERS)
            document["userId"] = user
            return {"op": "replace", "path": "/userId", "value": user}
        if kind == 3:
            document.pop("userId", None)
            return {"op": "remove", "path": "/userId"}
        if kind == 4:
            name, template = self._template(document["platform"])
            document["templates"][name] = template
            return {"op": "add", "path": f"/templates/{name}", "value": template}
        if kind == 5 and document["templates"]:
            name = self.chance.choice(list(document["templates"]))
            del document["templates"][name]
            return {"op": "remove", "path": f"/templates/{name}"}
        if kind == 6 and document["templates"]:
            name = self.chance.choice(list(document["templates"]))
            template = document["templates"][name]
            template["tags"] = [*_without(template["tags"], tag), tag]
            return {"op": "add", "path": f"/templates/{name}/tags", "value": tag}
        document["pushChannel"] = self._channel(document["platform"])
        return {"op": "replace", "path": "/pushChannel", "value": document["pushChannel"]}

    def _operation_on_a_tile(self, document: Document, tag: str) -> Document:
        id = self.chance.choice("xyz")
        tiles = document.setdefault("secondaryTiles", {})
        if id not in tiles:
            tiles[id] = self._tile()
            return {"op": "add", "path": f"/secondaryTiles/{id}", "value": tiles[id]}
        tile, path = tiles[id], f"/secondaryTiles/{id}"
        kind = self.chance.randrange(5)
        if kind == 0:
            del tiles[id]
            return {"op": "remove", "path": path}
        if kind == 1:
            tile["tags"] = [*_without(tile["tags"], tag), tag]
            return {"op": "add", "path": f"{path}/tags", "value": tag}
        if kind == 2:
            tile["tags"] = _without(tile["tags"], tag)
            return {"op": "remove", "path": f"{path}/tags/{tag}"}
        if kind == 3:
            name, template = self._template("wns")
            tile["templates"][name] = template
            return {"op": "replace", "path": f"{path}/templates/{name}", "value": orjson.dumps(template).decode()}
        tile["pushChannel"] = self._channel("wns")
        return {"op": "replace", "path": f"{path}/pushChannel", "value": tile["pushChannel"]}

    async def _put_single(self, registry: SqlRegistry, now: float) -> None:
        id = f"{self.chance.randrange(12)}-{self.chance.randrange(1, 3)}-1"
        phone = self.phones.by_id.get(id)
        if phone is not None and (phone.is_dead or not phone.lives_at(now)):
            return
        document = self._document(now, tiles=False)
        document["templates"] = dict(list(document["templates"].items())[:1])
        user = document.pop("userId", None)
        if user is not None:
            document["tags"].append(f"$UserId:{{{user}}}")
        self._say("put single", id, document)
        await registry.put_registration(self.hub, _registration(id, document))
        self.phones.put_single(id, document)

    async def _delete(self, registry: SqlRegistry, now: float) -> None:
        if not self.phones.by_id:
            return
        id = self.chance.choice(list(self.phones.by_id))
        self._say("delete", id)
        if self.phones.by_id.pop(id).is_single:
            await registry.delete_registration(self.hub, id)
        else:
            await registry.delete_installation(self.hub, id)

    async def _kill(self, registry: SqlRegistry, now: float) -> None:
        platform = self.chance.choice(PLATFORMS)
        channel = self._channel(platform)
        self._say("kill", platform, channel)
        gone = GoneChannel(platform=Platform(platform), push_channel=channel, reason="Unregistered")
        await registry.mark_channels_dead(self.hub, [gone])
        self.phones.kill(platform, channel)

    def _document(self, now: float, *, tiles: bool = True) -> Document:
        platform = self.chance.choice(PLATFORMS)
        document: Document = {
            "platform": platform,
            "pushChannel": self._channel(platform),
            "tags": self._some_tags(),
            "templates": dict(self._template(platform) for _ in range(self.chance.randrange(3))),
        }
        if platform == "wns" and tiles and self.chance.random() < 0.6:
            document["secondaryTiles"] = {self.chance.choice("xyz"): self._tile() for _ in range(2)}
        if self.chance.random() < 0.5:
            document["userId"] = self.chance.choice(USERS)
        if self.chance.random() < 0.3:
            document["expires"] = now + self.chance.randint(1, 600)
        return document

    def _tile(self) -> Document:
        return {
            "pushChannel": self._channel("wns"),
            "tags": self._some_tags(),
            "templates": dict(self._template("wns") for _ in range(self.chance.randrange(3))),
        }

    def _some_tags(self) -> list[str]:
        return [tag for tag in TAGS if self.chance.random() < 0.35]

    def _channel(self, platform: str) -> str:
        """One of few, so that phones share some."""
        number = self.chance.randrange(12)
        return f"{number:04X}" if platform == "apns" else f"https://wns.example/{platform}-{number}"

    def _template(self, platform: str) -> tuple[str, Document]:
        name = self.chance.choice(["greet", "News", "a b"])
        body = BODIES[platform].format(self.chance.randrange(6))
        return name, {"body": body, "tags": self._some_tags()[:2]}

    # Sends

    def sends(self, count: int, now: float) -> list[tuple[Notification, Said | None]]:
        """With what each says in Python's words; None for everyone."""
        special = [f"$InstallationId:{{phone-{number}}}" for number in range(0, 30, 3)]
        special += [f"$UserId:{{{user}}}" for user in USERS] + ["greet"]
        tags = [*TAGS, *self.chance.sample(special, 5), "nobody"]
        made: list[tuple[Notification, Said | None]] = []
        for _ in range(count):
            said = Speaker(self.chance, tags, most=self.chance.randint(1, MAX_TAGS)).expression()
            if self.chance.random() < 0.02:
                made.append((self._notification(None), None))
            else:
                made.append((self._notification(said.hub), said))
        return made

    def _notification(self, expression: str | None) -> Notification:
        limit = MaxTags(only_or=MAX_TAGS, only_and=MAX_TAGS, mixed=MAX_TAGS)
        is_native = self.chance.random() < 0.5
        limited = self.chance.random() < 0.2 and not is_native
        return Notification(
            id=uuid.UUID(int=self.chance.getrandbits(128)).hex,
            hub=self.hub,
            audience=EVERYONE if expression is None else parse(expression, max_tags=limit),
            content=NativeContent(platform=Platform(self.chance.choice(PLATFORMS)), payload=b"{}")
            if is_native
            else TemplateContent(properties={"title": "hello"}),
            platforms=frozenset(map(Platform, self.chance.sample(PLATFORMS, 2))) if limited else None,
        )

    def expected(self, notification: Notification, said: Said | None, now: float) -> tuple[Reached, int]:
        """Who the oracle says is reached, and how many are left out as doubles."""
        content = notification.content
        return self.phones.reached(
            (lambda tags: True) if said is None else _meaning(said),
            native=content.platform.value if isinstance(content, NativeContent) else None,
            platforms=None
            if notification.platforms is None
            else {platform.value for platform in notification.platforms},
            now=now,
        )

    def _say(self, *what: object) -> None:
        self.history.append(" ".join(map(str, what)))


async def found(registry: SqlRegistry, audience: Audience) -> tuple[Reached, int]:
    """What the store says, in the oracle's words."""
    assert not audience.pages, "these registries have less than a page"
    templates = await registry.templates([each.template for each in audience.targets if each.template is not None])
    reached: Reached = Counter(
        (each.platform.value, each.push_channel, "" if each.template is None else templates[each.template].body)
        for each in audience.targets
    )
    return reached, sum(map(len, audience.skipped.values()))


def _meaning(said: Said) -> Any:
    code = compile(said.python, "<expression>", "eval")
    return lambda tags: eval(code, {"__builtins__": {}}, dict(carries(tags)))


def _without(tags: Sequence[str], tag: str) -> list[str]:
    return [each for each in tags if each.casefold() != tag.casefold()]


def _installation(id: str, document: Document) -> Installation:
    said = {name: value for name, value in document.items() if name != "expires"}
    if "expires" in document:
        said["expirationTime"] = datetime.fromtimestamp(document["expires"], UTC).isoformat()
    return installation_from_document(id, said)


def _registration(id: str, document: Document) -> Registration:
    name, template = next(iter(document["templates"].items()), (None, None))
    return Registration(
        registration_id=id,
        platform=Platform(document["platform"]),
        push_channel=document["pushChannel"],
        tags=tuple(document["tags"]),
        template_name=name,
        template=None if template is None else Template(body=template["body"]),
        expires_at=datetime.fromtimestamp(document["expires"], UTC) if "expires" in document else None,
    )
