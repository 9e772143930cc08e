"""`push` of a rule: what is said, to whom, through which hub, and how."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta

from hub.notification import Platform, Priority
from rules import live_activity, models
from rules.audience import AudienceTemplate, PushAudience
from rules.audience_reading import audience_text, read_audience
from rules.content.pushed import PushedContents
from rules.levels import LevelPick, levelled_topics, negated_topic, too_many_tags
from rules.names import Names
from rules.native import Native, compile_native
from rules.node import Node
from rules.problems import Problems
from rules.push import PushPlan
from rules.reading import choice, fields, has_later, template, values, words
from rules.render import Text
from rules.scope import PLATFORMS, HubScope, Scope
from rules.ttl import TtlFrom
from rules.units import spelled
from rules.windows import name_of

_LATER_PUSH_KEYS = ("devices", "interruption", "tag_policy", "template")
_PUSH_CURES = {
    name: f"what templates are filled with stands under with: {{ {name}: … }}"
    for name in ("title", "subtitle", "body", "message", "text", "alert", "data", "properties")
}
_PROPERTY_NAME = re.compile(models.PROPERTY_NAME)

NativeCheck = Callable[[Platform, Node, Mapping[str, str], Problems], None]
"""Complains of a `native` entry; it gets the header fields of pushes through its hub that give none."""


class PushReader:
    """`defaults` is what `defaults.push` says. `seconds_in` and `check_native` as of `RuleReader`."""

    def __init__(
        self,
        defaults: Node | None,
        scope: Scope,
        names: Names,
        problems: Problems,
        *,
        seconds_in: Callable[[str], float],
        check_native: NativeCheck | None = None,
    ) -> None:
        self._scope = scope
        self._names = names
        self._problems = problems
        self._seconds_in = seconds_in
        self._check_native = check_native
        self._pushed = PushedContents(scope.contents, problems, timezone=name_of(scope.timezone))
        self._defaults: Mapping[str, Node] = {}
        if defaults is not None:
            self._defaults = fields(defaults, problems, models.PushDefaults, (*_LATER_PUSH_KEYS, "to", "with"))

    def read(self, rule: str, node: Node) -> PushPlan | None:
        """The push of a rule, by its name; None after complaining of what it cannot do without."""
        entries = {**self._defaults, **fields(node, self._problems, models.Push, _LATER_PUSH_KEYS, _PUSH_CURES)}
        says_activity = live_activity.KEY in entries
        if says_activity:
            entries = live_activity.spelled_out(entries, self._problems)
        hub = self._names.hub_of(node, entries.get("hub"))
        scope = self._scope.hubs.get(hub or "", HubScope())
        platforms = self._platforms(entries["platforms"], scope) if "platforms" in entries else None
        natives = self._natives(entries["native"], scope) if "native" in entries else ()
        has_native = says_activity or (
            "native" in entries and entries["native"].value != {}
        )  # else said of what is in it
        properties = self._properties(entries["with"]) if "with" in entries else None
        content = self._pushed.read(
            self._names.named("content", entries["content"]) if "content" in entries else None,
            entries,
            properties or (),
            hub_locale=scope.locale,
            hub_timezone=scope.time_zone,
            is_remote=scope.is_remote,
        )
        if "content" in entries and properties is None:
            properties = ()
        if properties is None and not natives and not has_later(node, ("template",)) and not has_native:
            self._problems.add(node, "there is nothing to say", "give with:, content: or native:", mark=node.key_mark)
        audience = read_audience(entries["to"], scope.max_tags, self._problems) if "to" in entries else None
        if "to" not in entries:
            self._problems.add(
                node, "to is missing", "an audience has to be named, even to: everyone", mark=node.key_mark
            )
        given = values(models.Push, entries, self._problems, self._seconds_in)
        self._check_ttl(given.get("ttl"), given.get("ttl_from"), entries)
        if scope.is_remote:
            self._check_can_be_told(entries)
        if hub is None or audience is None:
            return None
        level = self._level(entries.get("level"), audience, entries["to"], scope)
        return PushPlan(
            rule=rule,
            hub=hub.lower(),  # as its section is from here on: names of hubs compare without case
            audience=PushAudience(audience, audience_text(entries["to"])),
            mark=node.mark,
            properties=properties,
            natives=natives,
            platforms=platforms,
            priority=given.get("priority") or Priority.HIGH,
            collapse=given.get("collapse"),
            ttl=given.get("ttl"),
            ttl_from=given.get("ttl_from") or TtlFrom.NOW,
            level=level,
            sensitive=given.get("sensitive") is True,
            content=content,
            content_mark=entries["content"].mark if "content" in entries else node.mark,
        )

    def _check_ttl(self, ttl: timedelta | None, ttl_from: TtlFrom | None, entries: Mapping[str, Node]) -> None:
        if ttl is not None and re.fullmatch(r"\d+", entries["ttl"].written) and entries["ttl"].text != "0":
            self._problems.warn(entries["ttl"], "a number alone counts seconds", f"write the unit: {spelled(ttl)}")
        if ttl == timedelta():
            self._problems.add(entries["ttl"], "is over before anything is sent")
        if ttl_from is TtlFrom.TIME and ttl is None:
            self._problems.add(
                entries["ttl_from"], "there is no ttl that could begin at the event's time", "give ttl: 30s"
            )

    def _level(self, node: Node | None, audience: AudienceTemplate, to: Node, scope: HubScope) -> LevelPick | None:
        """What picks levels; None after complaining, and where no amount is given."""
        named = levelled_topics(audience, scope.topics)
        if node is None:
            if named:
                message = f"topic:{named[0]} alone reaches its users whatever level they chose"
                self._problems.warn(to, message, 'level: "{{ … }}" names the amount')
            return None
        text = template(node, self._problems)
        if not named:
            message = "no topic of the audience has levels"
            self._problems.add(node, message, "give hubs.NAME.registration.topics.NAME levels", mark=node.key_mark)
            return None
        topics = {name: scope.topics[name] for name in named}
        if (negated := negated_topic(audience, topics)) is not None:
            self._problems.add(to, f"!topic:{negated}: a level has no meaning behind !")
        if reason := too_many_tags(audience, topics, scope.max_tags):
            self._problems.add(to, reason, "hubs.NAME.limits.max_tags_per_expression raises the limit")
        return None if text is None else LevelPick(text, topics)

    def _check_can_be_told(self, push: Mapping[str, Node]) -> None:
        """Leaving `platforms` out would reach phones that were not meant; the others only say how a push arrives."""
        if "platforms" in push:
            self._problems.add(
                push["platforms"], "a remote hub takes no platforms", "a tag can tell them apart",
                mark=push["platforms"].key_mark,
            )  # fmt: skip
        for key in ("priority", "collapse"):
            if key in push and push[key].value != Priority.HIGH.value:
                self._problems.warn(push[key], "a remote hub does not get this", "a header of native: is passed on")

    def _platforms(self, node: Node, scope: HubScope) -> frozenset[Platform]:
        chosen = (self._platform(item, scope) for item in words(node, self._problems))
        return frozenset(platform for platform in chosen if platform is not None)

    def _platform(self, node: Node, scope: HubScope) -> Platform | None:
        platform = choice(node, PLATFORMS, self._problems)
        self._check_configured(platform, node, scope)
        return platform

    def _check_configured(self, platform: Platform | None, node: Node, scope: HubScope) -> None:
        """A hub without any credentials is a hub being set up: then nothing is said."""
        if platform is not None and scope.platforms and platform not in scope.platforms:
            self._problems.add(node, "the hub of this rule has no credentials for this platform", mark=node.key_mark)

    def _properties(self, node: Node) -> tuple[tuple[str, Text], ...]:
        if not isinstance(node.value, dict):
            self._problems.add(node, "expected properties by name")
            return ()
        properties: dict[str, tuple[str, Text]] = {}
        for name, entry in node.value.items():
            if name.casefold() in properties:
                self._problems.add(entry, "names compare without case: this one is there twice", mark=entry.key_mark)
            if not _PROPERTY_NAME.fullmatch(name):
                self._problems.add(
                    entry, "a template names a property by A-Z, 0-9 and _, up to 120", mark=entry.key_mark
                )
            text = template(entry, self._problems)
            if text is not None:
                properties[name.casefold()] = (name, text)
        return tuple(properties.values())

    def _natives(self, node: Node, scope: HubScope) -> tuple[Native, ...]:
        compiled = []
        for name, entry in fields(node, self._problems, models.Native).items():
            self._check_configured(PLATFORMS[name], entry, scope)
            native = compile_native(PLATFORMS[name], entry, self._problems)
            if self._check_native is not None:
                usual = scope.usual_fields.get(PLATFORMS[name], {})
                self._check_native(PLATFORMS[name], entry, usual, self._problems)
            if native is not None:
                compiled.append(native)
        return tuple(compiled)
