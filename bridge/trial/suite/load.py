"""From a test file to tests that can run; every mistake is named at its place."""

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.config.complaints import validated
from bridge.config.models.document import Settings
from bridge.trial.suite.body import NotSetError, json_of, set_in, written
from bridge.trial.suite.devices import installations_of
from bridge.trial.suite.models import END_YEAR, LATER, Expected, GivenDevice, GivenEvent, RuleTest, Step, SuiteFile
from connectors.connector import Connector
from hub.errors import InvalidRequestError
from hub.installation import Installation
from hub.spelling import did_you_mean
from rules.document import load_document
from rules.node import Node
from rules.problems import Problems
from rules.text import rfc3339

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The time at the beginning of a test that gives none."""

SettingsOf = Callable[[Sequence[Path]], Settings | None]
"""The configuration at these paths, None where it has mistakes, of which its reader complains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedStep:
    """A step, its node, and the body of its event, which comes from `source`; empty where time alone passes."""

    step: Step
    node: Node
    source: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTest:
    """A test with its node; `devices` are hub and installation of each registration of a device."""

    test: RuleTest
    node: Node
    devices: Sequence[tuple[str, Installation]]
    steps: Sequence[LoadedStep]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFile:
    """A file of tests, and the configuration that they are for; `paths` is where that is."""

    file: Path
    paths: Sequence[Path]
    settings: Settings
    tests: Sequence[LoadedTest]


def load_tests(file: Path, config: Sequence[Path], settings_of: SettingsOf, problems: Problems) -> LoadedFile | None:
    """The tests of a file; None after complaining. `config` is taken where the file names none, else its directory."""
    root = load_document(file, problems)
    if root is None:
        return None
    root = _with_lists(root, ())
    model = validated(SuiteFile, _plain(root, ()), root, problems, later=LATER)
    if model is None:
        return None
    paths = [_short(file.parent / path) for path in model.config] or list(config) or [file.parent]
    for index, path in enumerate(paths if model.config else ()):
        if not path.exists():
            problems.add(root.find(("config", index)), "there is no such file or directory")
            return None
    settings = settings_of(paths)
    if settings is None:
        return None
    reader = _Reader(file.parent, settings, problems)
    tests = [reader.test(test, root.find(("tests", index))) for index, test in enumerate(model.tests)]
    return LoadedFile(file=file, paths=paths, settings=settings, tests=tests)


def _short(path: Path) -> Path:
    """The path without `..` where that means the same."""
    short = Path(os.path.normpath(path))
    return short if short.resolve() == path.resolve() else path


class _Reader:
    """Reads tests of one configuration."""

    def __init__(self, directory: Path, settings: Settings, problems: Problems) -> None:
        self._directory = directory
        self._settings = settings
        self._problems = problems
        self._rules = [rule.name for rule in settings.rules.rules]
        self._names: dict[str, Node] = {}

    def test(self, test: RuleTest, node: Node) -> LoadedTest:
        first = self._names.setdefault(test.name, node)
        if first is not node:
            place = f"{first.mark.file}:{first.mark.line}"
            self._problems.add(node.find(("name",)), "another test has this name", f"at {place}")
        devices = [
            registered
            for index, device in enumerate(test.devices)
            for registered in self._devices(device, node.find(("devices", index)), test.devices[:index])
        ]
        self._check_channels(devices, test, node)
        ids = [device.id for device in test.devices]
        self._check_times(test, node)
        steps = [self._step(step, node.find(("steps", index)), ids) for index, step in enumerate(test.steps)]
        return LoadedTest(test=test, node=node, devices=devices, steps=steps)

    def _devices(
        self, device: GivenDevice, node: Node, before: Sequence[GivenDevice]
    ) -> Sequence[tuple[str, Installation]]:
        if any(other.id == device.id for other in before):
            self._problems.add(node.find(("id",)), "another device has this id")
        local = [name for name, hub in self._settings.hubs.items() if not hub.is_remote]
        if device.hub is not None and not self._known(node.find(("hub",)), device.hub.lower(), local, "hub"):
            return ()
        try:
            return installations_of(device, self._settings.hubs, local if device.hub is None else [device.hub.lower()])
        except InvalidRequestError as error:
            word = re.split("[:. ]", str(error), maxsplit=1)[0]
            message = str(error).removeprefix(f"{word}: ")
            self._problems.add(node.find((_DEVICE_KEYS.get(word, ""),)), message)
            return ()

    def _check_channels(self, devices: Sequence[tuple[str, Installation]], test: RuleTest, node: Node) -> None:
        """A push channel says which device a push is for."""
        first: dict[tuple[str, str, str], str] = {}
        positions = {device.id: index for index, device in enumerate(test.devices)}
        for hub, installation in devices:
            key = hub, installation.platform.value, installation.push_channel
            other = first.setdefault(key, installation.id)
            if other != installation.id:
                place = node.find(("devices", positions[installation.id], "push_channel"))
                self._problems.add(place, f"the device {other!r} has this push channel")

    def _check_times(self, test: RuleTest, node: Node) -> None:
        now = test.clock or START
        for index, step in enumerate(test.steps):
            now += timedelta(seconds=step.advance or 0)
            if now.year >= END_YEAR:
                self._problems.add(node.find(("steps", index, "advance")), f"time passes the year {END_YEAR - 1}")
                return
            if step.advance_to is not None and step.advance_to < now:
                place = node.find(("steps", index, "advance_to"))
                self._problems.add(place, f"time does not go back: it is {rfc3339(now)} by then")
            now = step.advance_to or now

    def _step(self, step: Step, node: Node, devices: Collection[str]) -> LoadedStep:
        if step.expect is not None:
            self._expected(step.expect, node.find(("expect",)), devices)
        for number, device in enumerate(step.opened):
            self._known(node.find(("opened", number)), device, devices, "device", of=" of this test")
        if step.event is None:
            return LoadedStep(step=step, node=node)
        event = node.find(("event",))
        source = self._source(step.event, event)
        if source in self._settings.sources:
            self._check_meta(step.event, event, self._settings.sources[source].connector)
        return LoadedStep(step=step, node=node, source=source, body=self._body(step.event, event))

    def _source(self, event: GivenEvent, node: Node) -> str:
        sources = self._settings.sources
        if event.source is not None:
            self._known(node.find(("source",)), event.source, sources, "source")
            return event.source
        if len(sources) != 1:
            self._problems.add(node, "source is missing", f"known: {', '.join(sources)}", mark=node.key_mark)
            return ""
        return next(iter(sources))

    def _check_meta(self, event: GivenEvent, node: Node, connector: Connector[Any]) -> None:
        """Properties are those that messages of the source have."""
        for name in event.meta:
            if name not in connector.meta:
                place = node.find(("meta", name))
                hint = did_you_mean(name, connector.meta)
                self._problems.add(
                    place, f"a message of {connector.title} has no such property", hint, mark=place.key_mark
                )

    def _body(self, event: GivenEvent, node: Node) -> bytes:
        try:
            body = self._whole_body(event, node)
            if not event.set or body is None:
                return body or b""
            value = json_of(body)
        except NotSetError as error:
            self._problems.add(node.find(("set",) if event.set else ("data",)), str(error))
            return b""
        for path, new in event.set.items():
            try:
                set_in(value, path, new)
                body = written(value)
            except NotSetError as error:
                place = node.find(("set", path))
                self._problems.add(place, str(error), mark=place.key_mark)
        return body

    def _whole_body(self, event: GivenEvent, node: Node) -> bytes | None:
        """Raises: NotSetError."""
        if event.file is None:
            return event.body.encode("utf-8", "surrogatepass") if event.body is not None else written(event.data)
        try:
            return (self._directory / event.file).read_bytes()
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else "not the name of a file"
            self._problems.add(node.find(("file",)), f"cannot be read: {cause}")
            return None

    def _expected(self, expected: Expected, node: Node, devices: Collection[str]) -> None:
        for key, rules in (("rules", expected.rules), ("observed", expected.observed)):
            for index, rule in enumerate(rules):
                self._known(node.find((key, index)), rule, self._rules, "rule")
        for index, letter in enumerate(expected.dead_letter):
            if letter.rule:
                self._known(node.find(("dead_letter", index, "rule")), letter.rule, self._rules, "rule")
        for index, push in enumerate(expected.pushes):
            place = node.find(("pushes", index))
            if not push.model_fields_set:
                self._problems.add(place, "says nothing of the notification")
            if push.rule:
                self._known(place.find(("rule",)), push.rule, self._rules, "rule")
            if push.hub:
                self._known(place.find(("hub",)), push.hub.lower(), self._settings.hubs, "hub")
            for number, device in enumerate(push.devices):
                self._known(place.find(("devices", number)), device, devices, "device", of=" of this test")
            self._sinks(push.report_to, place)
            if push.unless_opened is not None:
                self._sinks(push.unless_opened.report_to, place.find(("unless_opened",)))
        for index, phone in enumerate(expected.unopened):
            place = node.find(("unopened", index))
            if phone.rule:
                self._known(place.find(("rule",)), phone.rule, self._rules, "rule")
            if phone.device:
                self._known(place.find(("device",)), phone.device, devices, "device", of=" of this test")
            self._sinks(phone.report_to, place)

    def _sinks(self, names: Iterable[str], node: Node) -> None:
        for number, name in enumerate(names):
            self._known(node.find(("report_to", number)), name, self._settings.sinks, "sink")

    def _known(self, node: Node, name: str, known: Iterable[str], kind: str, *, of: str = "") -> bool:
        known = list(known)
        if name in known:
            return True
        self._problems.add(node, f"there is no {kind} {node.written!r}{of}", did_you_mean(name, known))
        return False


_DEVICE_KEYS: Mapping[str, str] = {
    "pushChannel": "push_channel",
    "userId": "user",
    "tags": "tags",
    "templates": "templates",
    "installationId": "id",
    "an": "id",
}
"""Where a device says what a complaint of its installation begins with."""


_LISTS = {
    ("config",),
    ("tests", "steps", "opened"),
    ("tests", "steps", "expect", "dead_letter"),
    ("tests", "steps", "expect", "pushes", "report_to"),
    ("tests", "steps", "expect", "pushes", "unless_opened", "report_to"),
    ("tests", "steps", "expect", "unopened", "report_to"),
}
_VERBATIM = {
    ("tests", "steps", "event", "data"),
    ("tests", "steps", "event", "set"),
    ("tests", "steps", "event", "headers"),
    ("tests", "steps", "event", "meta"),
    ("tests", "steps", "expect", "pushes", "payload"),
    ("tests", "devices", "templates", "*", "body"),
}
"""Where null is a value."""
_PUSH = ("tests", "steps", "expect", "pushes")
_NULLS = {(*_PUSH, key) for key in ("collapse", "ttl", "unless_opened")} | {
    ("tests", "steps", "expect", "unopened", "device")
}
"""Where null says that there is none."""
_TEXTS = {(*_PUSH, key) for key in ("title", "body", "collapse")} | {(*_PUSH, "with"), (*_PUSH, "headers")}
"""Where a number is taken as it was written."""


def _with_lists(node: Node, path: tuple[str, ...]) -> Node:
    """The document with a list of one for a single thing where one may stand for a list, so that places are found in it."""
    match node.value:
        case dict() as entries:
            return replace(node, value={name: _listed(entry, (*path, name)) for name, entry in entries.items()})
        case list() as items:
            return replace(node, value=[_with_lists(item, path) for item in items])
    return node


def _listed(node: Node, path: tuple[str, ...]) -> Node:
    is_single = path in _LISTS and node.value is not None and not isinstance(node.value, list)
    return _with_lists(replace(node, value=[node]) if is_single else node, path)


def _plain(node: Node, path: tuple[str, ...]) -> Any:
    """The value without marks, as the models take it; keys left empty are left out where null is no value."""
    if path in _VERBATIM or (len(path) == 5 and (*path[:3], "*", path[4]) in _VERBATIM):
        return _verbatim(node)
    is_text = path in _TEXTS or path[:-1] in _TEXTS
    match node.value:
        case dict() as entries:
            return {
                name: _plain(entry, (*path, name))
                for name, entry in entries.items()
                if entry.value is not None or (*path, name) in _NULLS
            }
        case list() as items:
            return [_plain(item, path) for item in items]
        case bool() | int() | float() if is_text:
            return node.text
    return node.plain()


def _verbatim(node: Node) -> Any:
    match node.value:
        case dict() as entries:
            return {name: _verbatim(entry) for name, entry in entries.items()}
        case list() as items:
            return [_verbatim(item) for item in items]
    return node.value
