"""`rules` and `defaults` of a configuration, read into a RuleSet."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta, tzinfo
from typing import Any

from pydantic import ValidationError

from hub.follow_up import FollowUp
from hub.notification import Platform, Priority
from hub.platforms.table import services, traits_of
from hub.quiet import OnQuiet
from hub.rate import Rate
from hub.tags import MaxTags
from hub.times import is_no_time, parse_time
from hub.topics import Levels
from hub.windows import Window
from rules import live_activity, models
from rules.audience import AudienceTemplate, PushAudience, compile_installation, compile_tags, compile_user, everyone
from rules.content.pushed import PushedContents
from rules.content.reader import NamedContent
from rules.engine import Rule, RuleSet
from rules.errors import ExpressionError
from rules.expressions import compile_expression
from rules.flow_reading import FlowReader
from rules.levels import LevelPick, levelled_topics, negated_topic, too_many_tags
from rules.match.patterns import MATCH_ALL, compile_match
from rules.native import Native, compile_native
from rules.node import Mark, Node, RuleNodes
from rules.problems import Problems
from rules.push import PushPlan
from rules.reading import choice, complain, complain_of_name, fields, template, values, word, words
from rules.render import Text, compile_text
from rules.schedule import Schedule
from rules.ttl import TtlFrom
from rules.units import spelled
from rules.when import When
from rules.windows import name_of, read_quiet_hours, window_named

PLATFORMS: Mapping[str, Platform] = {each.name: each.platform for each in services()}
"""The platforms by the names that a configuration uses."""

_LATER_RULE_KEYS = ("also", "inhibit", "remind")
_LATER_PUSH_KEYS = ("devices", "interruption", "tag_policy", "template")
_SOONEST, _LATEST = timedelta(seconds=1), timedelta(days=7)
"""What `unless_opened.after` may be: the notification and what phones said of it are kept for longer."""
_TIME_OF_EVENT = 'a field of the event names it: at: "{{ data.dueAt }}"'
_WIDE: Mapping[str, str] = {
    "source": "the rule is for the events of all sources",
    "match": "it asks for nothing",
    "when": "it asks for nothing",
    "dedupe": "nothing is kept back",
    "throttle": "nothing is kept back",
    "quiet_hours": "no phone is left in peace",
    "schedule": "what it pushes goes at once",
    "rate": "there is no limit",
    "mode": "the rule is in force",
    "stop": "the rules below are looked at",
}
"""What a rule does without a key that narrows it or holds it back."""
_LEAVE_OUT = "comment the rule out, or delete it"
_PUSH_CURES = {
    name: f"what templates are filled with stands under with: {{ {name}: … }}"
    for name in ("title", "subtitle", "body", "message", "text", "alert", "data", "properties")
}
_RULE_CURES = {
    **dict.fromkeys(("if", "condition", "conditions", "expression", "where", "filter"), "did you mean when?"),
    **dict.fromkeys(("enabled", "disabled"), _LEAVE_OUT),
}
_OWNER = re.compile(models.OWNER)
_PROPERTY_NAME = re.compile(models.PROPERTY_NAME)
_EVERYONE = re.compile(r"(?:^|[\s()!&|])everyone(?:$|[\s()!&|])", re.IGNORECASE)
"""As a word of an expression, where it would be a tag that no phone has."""

_BROADCASTS = frozenset(
    "all everybody anyone anybody broadcast any _all all-users allusers all_users all-devices alldevices all_devices"  # noqa: SIM905 - a table
    " all-phones everything alle tous todos true".split()
)
"""What authors write who mean everyone; they are tags as any other."""

_NAME = re.compile(r"[\w.:/-]{1,120}")
"""Rule names are labels of metrics and lines of logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubScope:
    """What rules have to know of a hub: the platforms it has credentials for, and how large an expression may be.

    An `is_remote` hub is reached over the Notification Hubs REST API, and gets what that API can express.
    """

    platforms: frozenset[Platform] = frozenset()
    max_tags: MaxTags = field(default_factory=MaxTags)
    is_remote: bool = False
    time_zone: str = ""
    """Of phones that say none; empty: that of the process."""
    locale: str = ""
    """The language of its phones that say none, empty where that is each content's fallback."""
    topics: Mapping[str, Levels] = field(default_factory=dict)
    """Topics that its phones can be subscribed to, with their levels."""
    usual_fields: Mapping[Platform, Mapping[str, str]] = field(default_factory=dict)
    """Header fields, by lower-case name, of pushes that give none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The names that rules may refer to. Without a `default_hub` every rule has to name its own."""

    sources: frozenset[str]
    hubs: Mapping[str, HubScope]
    default_hub: str | None = None
    sinks: frozenset[str] = frozenset()
    contents: Mapping[str, NamedContent] = field(default_factory=dict)
    """Texts held here, by name, without those that have a mistake, which `mistaken_contents` names."""
    mistaken_contents: frozenset[str] = frozenset()
    timezone: tzinfo = UTC
    """Of times that come without an offset."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    sources_are_known: bool = True
    """False where the section is a mistake itself, which is said of it: what rules name cannot be looked up then."""
    hubs_are_known: bool = True
    sinks_are_known: bool = True


def load_rules(
    rules: Node | None,
    defaults: Node | None,
    scope: Scope,
    problems: Problems,
    *,
    seconds_in: Callable[[str], float],
) -> RuleSet:
    """Compile all rules, reporting every mistake; what is returned is whole only if there was none."""
    reader = RuleReader(defaults, scope, problems, seconds_in=seconds_in)
    for node in rules_in(rules, problems):
        reader.read(node)
    return reader.rule_set()


def rules_in(section: Node | None, problems: Problems) -> Iterable[Node]:
    """The rules of the section, one at a time; none after complaining."""
    if section is None or section.value is None:
        return ()
    if isinstance(section.value, list | RuleNodes):
        return section.value
    hint = "begin each rule with - name: …" if isinstance(section.value, dict) and section.value else ""
    problems.add(section, "expected a list of rules", hint)
    return ()


NativeCheck = Callable[[Platform, Node, Mapping[str, str], Problems], None]
"""Complains of a `native` entry; it gets the header fields of pushes through its hub that give none."""


class RuleReader:
    """Reads one rule after the other, on top of the defaults.

    `seconds_in` reads a text such as `1h30m` as all of the configuration does, and raises ValueError for other text.
    `check_native` looks at each payload for a push service, those too that another key stands for.
    """

    def __init__(
        self,
        defaults: Node | None,
        scope: Scope,
        problems: Problems,
        *,
        seconds_in: Callable[[str], float],
        check_native: NativeCheck | None = None,
    ) -> None:
        self._scope = scope
        self._check_native = check_native
        self._seconds_in = seconds_in
        self._problems = problems
        self._flow = FlowReader(problems, seconds_in)
        self._rules: list[Rule] = []
        self._names: dict[str, Mark] = {}
        self._unknown: dict[tuple[str, str], list[Node]] = {}
        self._cancels: list[Node] = []
        self._has_keys = False
        self._hubless: Node | None = None
        self._sources = {source: source for source in sorted(scope.sources)}
        self._sinks = {sink: sink for sink in sorted(scope.sinks)}
        self._contents = {name: name for name in sorted({*scope.contents, *scope.mistaken_contents})}
        self._pushed = PushedContents(scope.contents, problems, timezone=name_of(scope.timezone))
        self._hubs = {hub: hub for hub in scope.hubs}
        entries = {} if defaults is None else fields(defaults, problems, models.Defaults, _LATER_RULE_KEYS)
        self._owner = self._owned_by(entries["owner"]) if "owner" in entries else ""
        push = entries.get("push")
        self._push_defaults = (
            {} if push is None else fields(push, problems, models.PushDefaults, (*_LATER_PUSH_KEYS, "to", "with"))
        )

    def read(self, node: Node) -> None:
        """Compile one rule, reporting every mistake in it."""
        rule = self._rule(node)
        if rule is not None:
            self._rules.append(rule)

    def rule_set(self) -> RuleSet:
        """All rules that were read, after complaining of the names in them that nothing defines."""
        self._complain_of_names()
        for cancel in () if self._has_keys else self._cancels:
            message = "withdraws nothing: no rule has a key"
            self._problems.warn(cancel, message, 'give the rule that pushes key: "{{ … }}"', mark=cancel.key_mark)
        return RuleSet(self._rules)

    def _rule(self, node: Node) -> Rule | None:
        entries = fields(node, self._problems, models.Rule, _LATER_RULE_KEYS, _RULE_CURES)
        if not isinstance(node.value, dict):
            return None
        if "name" not in entries:
            self._problems.add(node, "name is missing")
            return None
        self._warn_of_empty(node)
        self._has_keys = self._has_keys or "key" in entries
        name = self._name(entries["name"])
        given = self._values(models.Rule, entries)
        stop, observes = given.get("stop", False), given.get("mode") is models.Mode.OBSERVE
        if observes and stop is True:
            self._problems.warn(
                entries["stop"],
                "does nothing while the rule has mode: observe",
                "it stops again when mode is taken out",
            )
        push = self._push(name, entries["push"]) if "push" in entries else None
        if "schedule" in entries:
            push = self._scheduled(entries["schedule"], push)
        if "quiet_hours" in entries and (push is not None or "push" not in entries):
            push = self._in_quiet_hours(entries["quiet_hours"], push)
        flow = self._flow.read(name, node, entries, push)
        if flow is not None and flow.cancel is not None:
            self._cancels.append(entries["cancel"])
        if (
            "push" not in entries
            and "cancel" not in entries
            and stop is False
            and not _has_later(node, _LATER_RULE_KEYS)
        ):
            self._problems.add(node, "this rule does nothing", "give it a push, or stop: true")
        return Rule(
            name=name,
            owner=self._owned_by(entries["owner"]) if "owner" in entries else self._owner,
            sources=self._rule_sources(entries["source"]) if "source" in entries else None,
            match=compile_match(entries["match"], self._problems) if "match" in entries else MATCH_ALL,
            when=self._when(entries["when"]) if "when" in entries else None,
            push=push,
            flow=flow,
            stop=stop is True and not observes,
            observes=observes,
            rate=self._rate(entries["rate"], push) if "rate" in entries else None,
            report_to=self._rule_sinks(entries["report_to"]) if "report_to" in entries else (),
            unless_opened=self._unless_opened(entries["unless_opened"], push) if "unless_opened" in entries else None,
            key=node.key,
            mark=node.mark,
            source_mark=entries["source"].mark if "source" in entries else node.mark,
            stop_mark=entries["stop"].mark if "stop" in entries else node.mark,
        )

    def _warn_of_empty(self, rule: Node) -> None:
        """A key with nothing behind it is as if not written, so what was to narrow a rule leaves it wide."""
        for name, entry in rule.value.items() if isinstance(rule.value, dict) else ():
            if entry.value is None and name in _WIDE and not self._problems.is_mistaken(entry.key):
                self._problems.warn(
                    entry, f"has no value: {_WIDE[name]}", "give it one, or delete the key", mark=entry.key_mark
                )

    def _scheduled(self, node: Node, push: PushPlan | None) -> PushPlan | None:
        """The push at the time that the event names."""
        entries = fields(node, self._problems, models.Schedule)
        at = template(entries["at"], self._problems) if "at" in entries else None
        only_in = self._only_in(entries["only_in"]) if "only_in" in entries else None
        if not entries and isinstance(node.value, dict):
            self._problems.add(
                node, "there is no time", 'write at: "{{ … }}", or only_in: NAME of a window', mark=node.key_mark
            )
        if push is None or (at is None and only_in is None):
            return push
        if at is not None and at.constant is not None and not is_no_time(at.constant):
            try:
                parse_time(at.constant, self._scope.timezone)
            except ValueError as error:
                self._problems.add(entries["at"], str(error), _TIME_OF_EVENT)
            else:
                message = "this time is the same for all events: those that come after it are sent at once"
                self._problems.warn(entries["at"], message, _TIME_OF_EVENT)
        if push.ttl_from is TtlFrom.TIME:
            message = "ttl begins at the event's time, before the notification is sent"
            self._problems.add(node, message, "leave out push.ttl_from", mark=node.key_mark)
        key = f"{node.key}.{'only_in' if at is None else 'at'}"
        return replace(push, schedule=Schedule(at=at, only_in=only_in, timezone=self._scope.timezone, key=key))

    def _only_in(self, node: Node) -> Window | None:
        window = window_named(node, self._scope.windows, self._problems)
        if window is not None and not window.zone:
            message = "this window opens for each phone at a time of its own"
            self._problems.add(node, message, "give the window a tz, or use quiet_hours with the time that is left")
            return None
        return window

    def _in_quiet_hours(self, node: Node, push: PushPlan | None) -> PushPlan | None:
        """The push, with the hours in which phones are left in peace."""
        entries = fields(node, self._problems, models.QuietHours)
        values = self._values(models.QuietHours, entries)
        quiet = read_quiet_hours(node, values, entries, self._scope.windows, self._problems)
        if push is None:
            self._problems.add(node, "this rule pushes nothing that could wait", "give it a push", mark=node.key_mark)
            return None
        if quiet is None:
            return push
        scope = self._scope.hubs.get(push.hub, HubScope())
        if scope.is_remote and not quiet.is_same_for_all:
            message = "the zones of its phones are known to the remote hub alone"
            self._problems.add(entries["window"], message, "give the window a tz, or put the rule where the phones are")
        if quiet.on_quiet is OnQuiet.SILENT:
            self._check_soundless(entries["on_quiet"], push, scope)
        zone = scope.time_zone or name_of(self._scope.timezone)
        return replace(push, quiet=replace(quiet, zone=zone))

    def _check_soundless(self, node: Node, push: PushPlan, scope: HubScope) -> None:
        """Say for which push services `silent` is no word."""
        if scope.is_remote:
            self._problems.add(node, "a remote hub sends no push without a sound", "write hold, or drop")
            return
        wanted = scope.platforms if push.platforms is None else push.platforms & scope.platforms
        without = sorted(each.title for each in services() if each.platform in wanted and not each.can_be_soundless)
        if without and push.properties is not None:
            self._problems.warn(
                node, f"{', '.join(without)} has no word for it: such pushes are held until the window ends"
            )
        for native in push.natives:
            traits = traits_of(native.platform)
            headers = {
                **scope.usual_fields.get(native.platform, {}),
                **{name.lower(): text.constant or "" for name, text in native.headers},
            }
            if traits.can_be_soundless and traits.soundless(headers, b"{}") is None:
                self._problems.add(
                    node, f"a push of this type cannot be without a sound: native.{traits.name}", "write hold, or drop"
                )

    def _unless_opened(self, node: Node, push: PushPlan | None) -> FollowUp | None:
        """Who is told of phones that have not opened what the rule pushes, and after how long."""
        entries = fields(node, self._problems, models.UnlessOpened)
        if not isinstance(node.value, dict):
            return None
        for key, hint in (("after", "after: 15m"), ("report_to", "report_to: NAME, a name under sinks")):
            if key not in entries:
                self._problems.add(node, f"{key} is missing", f"write {hint}", mark=node.key_mark)
        after = self._values(models.UnlessOpened, entries).get("after")
        if after is not None and not _SOONEST <= after <= _LATEST:
            self._problems.add(entries["after"], f"is not from {spelled(_SOONEST)} to {spelled(_LATEST)}")
            after = None
        sinks = self._rule_sinks(entries["report_to"]) if "report_to" in entries else ()
        if push is None:
            self._problems.add(
                node, "this rule pushes nothing that could be opened", "give it a push", mark=node.key_mark
            )
        return None if after is None or not sinks else FollowUp(after=after.total_seconds(), sinks=sinks)

    def _values(self, model: type[models.Keys], entries: Mapping[str, Node]) -> dict[str, Any]:
        return values(model, entries, self._problems, self._seconds_in)

    def _rate(self, node: Node, push: PushPlan | None) -> Rate | None:
        entries = fields(node, self._problems, models.RuleRate)
        if not isinstance(node.value, dict):
            return None
        if "per_second" not in entries:
            self._problems.add(node, "per_second is missing", "write per_second: 10", mark=node.key_mark)
            return None
        if push is not None and any(
            scope.is_remote for name, scope in self._scope.hubs.items() if name.lower() == push.hub
        ):
            self._problems.add(node, "pushes of a remote hub are made there", "give the hub a rate where it is")
        try:
            return Rate.model_validate({key: entry.written for key, entry in entries.items()})
        except ValidationError as error:
            for each in error.errors():
                self._problems.add(entries[str(each["loc"][0])], each["msg"].lower())
            return None

    def _name(self, node: Node) -> str:
        name = word(node, self._problems)
        if name is None:
            return ""
        if name in self._names:
            first = self._names[name]
            self._problems.add(node, f"another rule is called {node.written}", f"at {first.file}:{first.line}")
        elif not _NAME.fullmatch(name):
            self._problems.add(node, "a name is letters, digits and _ . : / - up to 120, without spaces")
        self._names.setdefault(name, node.mark)
        return name

    def _owned_by(self, node: Node) -> str:
        owner = word(node, self._problems) or ""
        if owner and not _OWNER.fullmatch(owner):
            self._problems.add(node, f"an owner is {models.OWNER_WORDS}")
        return sys.intern(owner)

    def _rule_sources(self, node: Node) -> frozenset[str]:
        chosen = (self._named("source", item, self._sources) for item in words(node, self._problems))
        return frozenset(source for source in chosen if source is not None)

    def _rule_sinks(self, node: Node) -> tuple[str, ...]:
        chosen = (self._named("sink", item, self._sinks) for item in words(node, self._problems))
        return tuple(dict.fromkeys(sink for sink in chosen if sink is not None))

    def _named(self, kind: str, node: Node, known: Mapping[str, str]) -> str | None:
        """A source, a hub or a sink by its name; an unknown one is complained of once, however many rules name it."""
        text = word(node, self._problems)
        if text is not None and text not in known:
            self._unknown.setdefault((kind, text), []).append(node)
        return None if text is None else known.get(text)

    def _complain_of_names(self) -> None:
        """Complain of each source, hub and sink that rules name and nothing defines."""
        known = {"source": self._sources, "hub": self._hubs, "sink": self._sinks, "content": self._contents}
        sections = {
            "content": True,
            "source": self._scope.sources_are_known,
            "hub": self._scope.hubs_are_known,
            "sink": self._scope.sinks_are_known,
        }
        for (kind, _), nodes in self._unknown.items():
            if not sections[kind]:
                continue  # the section itself is the mistake
            others = f"{len(nodes) - 1} more of the rules name it" if len(nodes) > 1 else ""
            section = kind if kind == "content" else f"{kind}s"
            complain_of_name(nodes[0], known[kind], section, self._problems, more=others)

    def _when(self, node: Node) -> When | None:
        if isinstance(node.value, list):
            expression = " and ".join(item.written or "…" for item in node.value)
            self._problems.add(node, "expected a text", f"write one expression: {expression}")
            return None
        text = word(node, self._problems)
        if text is not None and text.strip() == "false":
            self._problems.warn(node, "is false for every event: the rule never fires", _LEAVE_OUT)
        try:
            return None if text is None else When(compile_expression(text), node)
        except ExpressionError as error:
            complain(error, node, self._problems)
            return None

    def _push(self, rule: str, node: Node) -> PushPlan | None:
        entries = {**self._push_defaults, **fields(node, self._problems, models.Push, _LATER_PUSH_KEYS, _PUSH_CURES)}
        says_activity = live_activity.KEY in entries
        if says_activity:
            entries = live_activity.spelled_out(entries, self._problems)
        hub = self._hub(node, entries.get("hub"))
        scope = self._scope.hubs.get(hub or "", HubScope())
        platforms = self._platforms(entries["platforms"], scope) if "platforms" in entries else None
        natives = self._natives(entries["native"], scope) if "native" in entries else ()
        has_native = says_activity or (
            "native" in entries and entries["native"].value != {}
        )  # else said of what is in it
        properties = self._properties(entries["with"]) if "with" in entries else None
        content = self._pushed.read(
            self._named("content", entries["content"], self._contents) if "content" in entries else None,
            entries,
            properties or (),
            hub_locale=scope.locale,
            hub_timezone=scope.time_zone,
            is_remote=scope.is_remote,
        )
        if "content" in entries and properties is None:
            properties = ()
        if properties is None and not natives and not _has_later(node, ("template",)) and not has_native:
            self._problems.add(node, "there is nothing to say", "give with:, content: or native:", mark=node.key_mark)
        audience = self._audience(entries["to"], scope) if "to" in entries else None
        if "to" not in entries:
            self._problems.add(
                node, "to is missing", "an audience has to be named, even to: everyone", mark=node.key_mark
            )
        given = self._values(models.Push, entries)
        ttl = given.get("ttl")
        if ttl is not None and re.fullmatch(r"\d+", entries["ttl"].written) and entries["ttl"].text != "0":
            self._problems.warn(entries["ttl"], "a number alone counts seconds", f"write the unit: {spelled(ttl)}")
        if ttl == timedelta():
            self._problems.add(entries["ttl"], "is over before anything is sent")
        if given.get("ttl_from") is TtlFrom.TIME and ttl is None:
            self._problems.add(
                entries["ttl_from"], "there is no ttl that could begin at the event's time", "give ttl: 30s"
            )
        if scope.is_remote:
            self._check_can_be_told(entries)
        if hub is None or audience is None:
            return None
        level = self._level(entries.get("level"), audience, entries["to"], scope)
        return PushPlan(
            rule=rule,
            hub=hub.lower(),  # as its section is from here on: names of hubs compare without case
            audience=PushAudience(audience, self._audience_text(entries["to"])),
            mark=node.mark,
            properties=properties,
            natives=natives,
            platforms=platforms,
            priority=given.get("priority") or Priority.HIGH,
            collapse=given.get("collapse"),
            ttl=ttl,
            ttl_from=given.get("ttl_from") or TtlFrom.NOW,
            level=level,
            sensitive=given.get("sensitive") is True,
            content=content,
            content_mark=entries["content"].mark if "content" in entries else node.mark,
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

    def _hub(self, push: Node, node: Node | None) -> str | None:
        if node is not None:
            return self._named("hub", node, self._hubs)
        if self._scope.default_hub is None and self._hubless is None and self._scope.hubs_are_known:
            self._hubless = push
            message = "no hub is the default one" if self._hubs else "there is no hub to push through"
            hint = "give push.hub, or one of hubs default: true" if self._hubs else "add one under hubs"
            self._problems.add(push, message, hint, mark=push.key_mark)
        return self._scope.default_hub

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

    def _audience(self, node: Node, scope: HubScope) -> AudienceTemplate | None:
        if isinstance(node.value, dict):
            return self._service_audience(node)
        if isinstance(node.value, list):
            tags = " || ".join(item.written or "…" for item in node.value)
            self._problems.add(node, "expected a text", f'write one expression: "{tags}"; && where all are asked for')
            return None
        text = word(node, self._problems)
        if text is None or text.strip() == "everyone":
            return None if text is None else everyone
        if text.strip().casefold() in _BROADCASTS:
            message = f"only phones that carry the tag {text.strip()} are meant"
            self._problems.warn(node, message, "for all phones write to: everyone")
        if text.strip() in ("*", "**", "%", "_"):
            self._problems.add(node, "this is no tag", "for all phones write to: everyone")
            return None
        if _EVERYONE.search(text):
            self._problems.add(node, "everyone stands alone, in lower case", "to: everyone")
            return None
        return self._compiled(node, lambda: compile_tags(text, scope.max_tags))

    def _audience_text(self, node: Node) -> Text:
        """The text of an audience that was compiled, which may stand below `user` or `installation`."""
        inner = next(iter(node.value.values())) if isinstance(node.value, dict) else node
        return compile_text(inner.written).placed(inner)  # what was filled in may be secret

    def _service_audience(self, node: Node) -> AudienceTemplate | None:
        entries = fields(node, self._problems, models.Audience)
        if not entries and node.value:
            return None
        if len(entries) != 1:
            self._problems.add(node, "expected one of user and installation")
            return None
        ((kind, entry),) = entries.items()
        text = word(entry, self._problems)
        if text is None:
            return None
        return self._compiled(entry, lambda: (compile_user if kind == "user" else compile_installation)(text))

    def _compiled(self, node: Node, compile_: Callable[[], AudienceTemplate]) -> AudienceTemplate | None:
        try:
            return compile_()
        except ExpressionError as error:
            complain(error, node, self._problems)
            return None

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


def _has_later(node: Node, keys: Iterable[str]) -> bool:
    return isinstance(node.value, dict) and not node.value.keys().isdisjoint(keys)
