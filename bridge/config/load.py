"""Reading a configuration and finding every mistake in it."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, tzinfo
from difflib import get_close_matches
from inspect import isclass
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bridge.config import cures
from bridge.config.egress import warn_of_unproxied, with_egress
from bridge.config.ended import ends_of, refused
from bridge.config.in_clear import warn_of_secrets
from bridge.config.memory import young_garbage_only
from bridge.config.models.document import Document, Sections, Settings, default_hub
from bridge.config.models.hubs import HubSettings
from bridge.config.models.listeners import AdminListener, Listen, Listeners
from bridge.config.produced import produced_by
from bridge.config.section import fields_of
from bridge.config.sensitive import check_sensitive
from bridge.config.spellings import OLD_SECTIONS, in_present_spelling
from bridge.config.unopened import check_follow_ups
from bridge.config.unstored import check_dead_letters, check_rules, handed_over_at_once, needs_no_disk, warn_of_volume
from connectors.connector import Connector
from connectors.duration import seconds_in
from connectors.table import CONNECTORS, LATER
from hub.delivery.remote_settings import RemoteSettings
from hub.platforms.table import services
from hub.spelling import did_you_mean
from rules.advice.reach import Produced, ReachCheck, check_map
from rules.advice.services import check_native
from rules.advice.together import check_together
from rules.content.reader import NamedContent, read_contents
from rules.document import Drafts, Paths, load_document
from rules.engine import RuleSet
from rules.loader import HubScope, RuleReader, Scope, rules_in
from rules.node import Mark, Node, RuleNodes
from rules.problems import Problem, Problems, Severity
from rules.read_files import ReadFiles
from rules.windows import name_of, read_windows

ModelT = TypeVar("ModelT", bound=BaseModel)

_LATER: Mapping[tuple[str, ...], tuple[str, ...]] = {
    (): ("registration", "templates"),
    ("bridge",): ("tracing",),
    ("bridge", "watchdog"): ("action",),
    ("sources", "*"): ("dedupe", "order", *LATER),
    **{("sources", "*", key, *path): keys for key, kind in CONNECTORS.items() for path, keys in kind.later.items()},
    ("dead_letters", "sources", "*"): (
        *(key for key, kind in CONNECTORS.items() if kind.keeps_dead_letters and kind.dead_letters is None),
        *LATER,
    ),
    ("delivery",): ("poison", "rate"),
    ("delivery", "retry"): ("jitter",),
}
"""Keys of the language that a later version will do, by where they stand."""

_EXPECTED: Mapping[str, str] = {
    **dict.fromkeys(("string_type", "string_sub_type"), "a text"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
    **dict.fromkeys(("tuple_type", "frozen_set_type", "list_type"), "a list"),
    "path_type": "the name of a file",
}
"""What a value of another kind should have been, by pydantic's name of the complaint."""

_WHOLE_FILE = ""
"""The key of a complaint about a file of which nothing could be read."""

_MOST_SECTIONS = 100
"""Sections after which a misspelt one is compared with the known ones no more: a file of so many is no configuration."""

_CONSOLE_PATHS = (
    "/console.css",
    "/console.js",
    "/console.svg",
    *(f"/api/{name}" for name in ("trail", "health", "phones", "live")),
)
_OWN_PATHS = ("/livez", "/readyz", "/startupz", "/metrics", "/admin", "/api/v1", "/-", *_CONSOLE_PATHS)
"""What the admin listener serves itself, beside HTTP sources."""


def check(
    paths: Paths,
    environ: Mapping[str, str] = os.environ,
    *,
    no_secrets: bool = False,
    samples: bool = False,
    files: ReadFiles | None = None,
    drafts: Drafts | None = None,
) -> tuple[Settings | None, list[Problem]]:
    """The settings that files and directories hold, and every problem in them by place; no settings if one is an error.

    Nothing is connected to, opened or created. Relative paths begin at the first of `paths`. With `no_secrets` what
    `${env:NAME}` and `${file:/path}` would fill in is a value that is good there, and so is a file that is not here and
    is named from the root on. There are no settings then, unless all can be known, or `samples` asks for those with such
    values, which connect nowhere. `files` gets the files that the configuration names and that were read. `drafts` are what
    files hold that are not there.
    """
    problems = Problems()
    with young_garbage_only():
        read = ReadFiles() if files is None else files
        settings = _read(paths, problems, environ, no_secrets=no_secrets, files=read, drafts=drafts)
    found = problems.sorted()
    has_errors = any(problem.severity is Severity.ERROR for problem in found)
    return (None if has_errors or (problems.has_withheld and not samples) else settings), found


def admin_listener(paths: Paths, environ: Mapping[str, str] = os.environ) -> AdminListener | None:
    """The admin listener of a configuration with mistakes elsewhere; None if the readable files leave its address open.

    A running daemon keeps its configuration while a file is being mended, so operators can still ask it. A mistake in
    `auth` leaves the listener without `auth`. Without `listeners.admin` the default address counts only if all files could
    be read and all sections are known: any other might have named the address.
    """
    problems = Problems()
    try:
        root = load_document(paths, problems, environ)
    except OSError:
        return None
    if root is None or not isinstance(root.value, dict):
        return None
    has_unknown = bool(root.value.keys() - Document.model_fields.keys() - set(OLD_SECTIONS))
    sections = _entries(in_present_spelling(_as_meant(root, problems), problems))
    written = _entries(sections["listeners"]) if "listeners" in sections else {}
    context = {"directory": _directory(paths), "files": ReadFiles()}
    mistaken = problems.keys()
    try:
        if "admin" not in written:
            plain = sections["listeners"].plain() if "listeners" in sections else {}
            listeners = Listeners.model_validate(plain, context=context)
            return None if has_unknown or _WHOLE_FILE in mistaken else listeners.admin
        plain = written["admin"].plain()
        if isinstance(plain, dict) and any(key.startswith(f"{written['admin'].key}.auth") for key in mistaken):
            del plain["auth"]
        return AdminListener.model_validate(plain, context=context)
    except ValidationError:
        return None


def _directory(paths: Paths) -> Path:
    """Where relative names of files begin."""
    path = paths if isinstance(paths, Path) else paths[0]
    return path if path.is_dir() else path.parent


def _read(
    paths: Paths,
    problems: Problems,
    environ: Mapping[str, str],
    *,
    no_secrets: bool,
    files: ReadFiles,
    drafts: Drafts | None,
) -> Settings | None:
    path = paths if isinstance(paths, Path) else paths[0]
    try:
        root = load_document(paths, problems, environ, no_secrets=no_secrets, files=files, drafts=drafts)
    except OSError as error:  # a directory that is not ours to list
        problems.add_at(Mark(str(path), 1, 1), "", f"cannot be read: {error.strerror}")
        return None
    if root is None or not isinstance(root.value, dict):
        return None
    root = in_present_spelling(_as_meant(root, problems), problems)
    assert isinstance(root.value, dict)
    sections = dict(root.value)
    rules, defaults, windows = (sections.pop(name, None) for name in ("rules", "defaults", "windows"))
    contents_written = sections.pop("content", None)
    contents = read_contents(contents_written, problems)
    directory = _directory(paths)
    context = {"directory": directory, "files": files}
    if no_secrets:
        from bridge.config.placeholders import with_samples

        sections = with_samples(sections, problems, context)
        root = replace(root, value={**root.value, **sections})
    plain = {name: _plain(name, node) for name, node in sections.items() if node.value is not None}
    scope = _scope(plain, contents, contents_written)
    scope = replace(scope, windows=read_windows(windows, problems, zone=name_of(scope.timezone)))
    reader = RuleReader(defaults, scope, problems, seconds_in=seconds_in, check_native=check_native)
    if problems.has_withheld:
        rules = _with_samples(rules, defaults, scope, problems)
    produced = _produced(plain, root, context, problems)
    rule_set = _rules(rules, reader, ReachCheck(produced, problems), problems)
    if not problems.has_errors:  # a mistake in a pattern would make it wider than it is meant
        check_together(rule_set, produced, problems)
    _check_hubs(root, problems)
    _check_mirrors(plain, root, problems)
    _check_retired(root, problems)
    _check_sources(root, problems)
    _check_dead_letters(root, problems)
    _check_sinks(root, rule_set, problems)
    _check_unstored(root, plain, rule_set, problems)
    check_sensitive(rule_set, _entries(root, "sources"), _entries(root, "dead_letters", "sources"), problems)
    _check_listeners(plain, context, root, problems)
    for name, node in sections.items():
        _check_numbers(node, [name], problems)
    try:
        checked: Sections | None = Sections.model_validate(plain, context=context)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            _report(details, root, problems)
        checked = None
    warn_of_secrets(replace(root, value=sections), problems)  # after what is no secret for it is a mistake
    if checked is None:
        return None
    warn_of_unproxied(checked, root, problems)
    if not no_secrets:  # which is for another machine than the one that it will run on
        warn_of_volume(checked.bridge.store, directory, checked.hubs, root, problems)
    contents_in_force = {name: content.texts for name, content in contents.items()}
    return Settings(**dict(with_egress(checked)), rules=rule_set, contents=contents_in_force, directory=directory)


def _with_samples(rules: Node | None, defaults: Node | None, scope: Scope, problems: Problems) -> Node | None:
    """The rules with values in the place of those that are withheld."""
    from bridge.config.placeholders import rule_with_samples

    def complained(rule: Node) -> set[str]:
        found = Problems()
        RuleReader(defaults, scope, found, seconds_in=seconds_in).read(rule)
        return found.keys()

    if rules is None or not isinstance(rules.value, list | RuleNodes):
        return rules
    return replace(rules, value=[rule_with_samples(rule, problems, complained) for rule in rules.value])


def _as_meant(root: Node, problems: Problems) -> Node:
    """The document with a misspelt section under the name that was meant: said once, and read like any other.

    Else each rule that names a source would be a mistake of its own under `source:` for `sources:`.
    """
    assert isinstance(root.value, dict)
    known = tuple(Document.model_fields)
    later = _LATER[()]
    meant: dict[str, Node] = {}
    for name, node in root.value.items():
        section = name
        if name not in known and name not in later and name not in OLD_SECTIONS and len(meant) < _MOST_SECTIONS:
            close = get_close_matches(name.casefold(), (*known, *later), n=1)
            if close and close[0] in known and close[0] not in root.value and close[0] not in meant:
                section = close[0]
                problems.unknown_key(name, node, known, later)
        meant[section] = node
    return Node(key=root.key, mark=root.mark, key_mark=root.key_mark, value=meant)


def _rules(rules: Node | None, reader: RuleReader, reach: ReachCheck, problems: Problems) -> RuleSet:
    """Everything that is asked of a rule, while there are nodes of it."""
    for rule in rules_in(rules, problems):
        reader.read(rule)
        reach.check(rule)
    return reader.rule_set()


def _produced(
    plain: Mapping[str, Any], root: Node, context: Mapping[str, Any], problems: Problems
) -> Mapping[str, Produced]:
    """What each source makes, after complaining of its map."""
    sources = _mapping(plain.get("sources"))
    produced: dict[str, Produced] = {name: produced_by(name, source, context) for name, source in sources.items()}
    for name, source in _entries(root, "sources").items():
        if "map" in _entries(source):
            check_map(_entries(source)["map"], produced[name], problems)
    return produced


def _plain(section: str, node: Node) -> Any:
    """As the models take it: a source or hub that says nothing is one that is named, and no key left empty."""
    plain = node.plain()
    if section in ("sources", "hubs") and isinstance(node.value, dict):
        return {name: plain.get(name, {}) for name in node.value}
    return plain


def _scope(plain: Mapping[str, Any], contents: Mapping[str, NamedContent], written: Node | None) -> Scope:
    """What rules may refer to; a hub with a mistake in it is still a hub."""
    hubs = {name: _hub(value) for name, value in _mapping(plain.get("hubs")).items()}
    return Scope(
        sources=frozenset(_mapping(plain.get("sources"))),
        hubs={
            name: HubScope(
                platforms=hub.platforms.configured,
                max_tags=hub.limits.max_tags,
                is_remote=hub.is_remote,
                locale=hub.locale,
                topics={} if hub.registration is None else hub.registration.amounts,
                time_zone=hub.timezone or "",
                usual_fields={
                    platform: settings.for_hub(name).usual_fields
                    for platform, settings in hub.platforms.settings.items()
                },
            )
            for name, hub in hubs.items()
        },
        default_hub=default_hub(hubs),
        sinks=frozenset(_mapping(plain.get("sinks"))),
        timezone=_timezone(plain),
        contents=contents,
        mistaken_contents=frozenset(() if written is None or not isinstance(written.value, dict) else written.value),
        sources_are_known=isinstance(plain.get("sources", {}), dict),
        hubs_are_known=isinstance(plain.get("hubs", {}), dict),
        sinks_are_known=isinstance(plain.get("sinks", {}), dict),
    )


def _timezone(plain: Mapping[str, Any]) -> tzinfo:
    """Of the process; a name that is a mistake is complained of elsewhere."""
    name = _mapping(plain.get("bridge")).get("timezone", "UTC")
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _hub(plain: Any) -> HubSettings:
    try:
        return HubSettings.model_validate(plain)
    except ValidationError:
        return HubSettings(default=_mapping(plain).get("default") is True)


def _mapping(plain: Any) -> Mapping[str, Any]:
    return plain if isinstance(plain, dict) else {}


def _entries(root: Node, *path: str) -> Mapping[str, Node]:
    """The entries at `path`; none where something else stands."""
    node = root
    for part in path:
        if not isinstance(node.value, dict) or part not in node.value:
            return {}
        node = node.value[part]
    return node.value if isinstance(node.value, dict) else {}


def _check_hubs(root: Node, problems: Problems) -> None:
    hubs = _entries(root, "hubs")
    first: dict[str, str] = {}
    for name, hub in hubs.items():
        if (same := first.setdefault(name.lower(), name)) != name:
            problems.add(hub, f"the same hub as {same}: names of hubs compare without case", mark=hub.key_mark)
    marks = [hub.find(("default",)) for hub in hubs.values()]
    for mark in [mark for mark in marks if mark.value is True][1:]:
        problems.add(mark, "another hub is the default one already")


def _check_mirrors(plain: Mapping[str, Any], root: Node, problems: Problems) -> None:
    """Two hubs that mirror one remote would push to its phones twice after the cut-over."""
    first: dict[tuple[str, str], str] = {}
    for name, value in _mapping(plain.get("hubs")).items():
        hub = _hub(value)
        if hub.mirror is None or hub.remote is None:
            continue
        remote = RemoteSettings.from_connection_string(
            hub.remote.connection_string.get_secret_value(), hub=hub.remote.hub or name
        )
        if (same := first.setdefault((remote.endpoint.lower(), remote.hub.lower()), name)) != name:
            problems.add(_entries(root, "hubs")[name].find(("mirror",)), f"the hub {same} mirrors the same remote")


def _check_retired(root: Node, problems: Problems) -> None:
    """Name the push services that their vendors gave up; what is configured for them works all the same."""
    gave_up = {each.name: each.retired for each in services() if each.retired}
    for hub in _entries(root, "hubs"):
        for name, node in _entries(root, "hubs", hub, "platforms").items():
            if name in gave_up:
                problems.warn(node, gave_up[name], mark=node.key_mark)


def _check_sources(root: Node, problems: Problems) -> None:
    paths: dict[str, str] = {}
    for name, source in _entries(root, "sources").items():
        for key, kind in _connectors_of(source):
            posted_to = _entries(source, key).get("path") if kind.is_posted_to else None
            if posted_to is not None and isinstance(path := posted_to.value, str):
                if path in paths:
                    problems.add(posted_to, f"the source {paths[path]} has this path already")
                if any(path == own or path.startswith(f"{own}/") for own in _OWN_PATHS):
                    problems.add(posted_to, "this path is one of the process's own", "/in/… is free")
                paths.setdefault(path, name)
        repeats = any(not kind.has_position for _, kind in _connectors_of(source))
        formats = [_entries(source, part).get("format") for part in (*CONNECTORS, "decode")]
        has_ids = any(format_ is not None and format_.value in ("cloudevents", "debezium") for format_ in formats)
        if repeats and not has_ids and "id" not in _entries(source, "map"):
            problems.warn(
                source, "a message without an id that comes twice is taken twice", "map.id names what tells it apart"
            )


def _check_dead_letters(root: Node, problems: Problems) -> None:
    sources = _entries(root, "sources")
    for name, target in _entries(root, "dead_letters", "sources").items():
        if name not in sources:
            problems.add(target, "there is no such source", did_you_mean(name, sources), mark=target.key_mark)
            continue
        for key, kind in _connectors_of(sources[name]):
            if not kind.keeps_dead_letters and kind.dead_letters is None:
                message = f"{kind.title} has no place for dead letters; they are in the store"
                problems.add(target, message, mark=target.key_mark)
                continue
            for other, place in _entries(target).items():
                if other in CONNECTORS and other != key:
                    problems.add(place, f"the source is of {kind.title}", mark=place.key_mark)


def _check_sinks(root: Node, rules: RuleSet, problems: Problems) -> None:
    """Names in `report_to` of rules are looked up as the rules are read."""
    sinks = _entries(root, "sinks")
    used = {sink for named in rules.report_to.values() for sink in named}
    used |= {sink for follow_up in rules.follow_ups.values() for sink in follow_up.sinks}
    for hub in _entries(root, "hubs").values():
        told = _entries(hub).get("report_to")
        if told is None:
            continue
        for name in told.value if isinstance(told.value, list) else (told,):
            if isinstance(name.value, str):
                used.add(name.value)
                if name.value not in sinks:
                    problems.add(name, "there is no such sink", did_you_mean(name.value, sinks))
    for unused in sinks.keys() - used:
        problems.warn(sinks[unused], "nothing is reported to this sink", "name it in report_to of a rule or a hub")


def _check_unstored(root: Node, plain: Mapping[str, Any], rules: RuleSet, problems: Problems) -> None:
    hubs = {name: _hub(value) for name, value in _mapping(plain.get("hubs")).items()}
    check_rules(rules, {name.lower() for name in handed_over_at_once(hubs)}, problems, has_no_other=needs_no_disk(hubs))
    check_follow_ups(rules, {name.lower(): hub for name, hub in hubs.items()}, problems)
    if needs_no_disk(hubs):
        placed = _entries(root, "dead_letters", "sources")
        for name, source in _entries(root, "sources").items():
            for _, kind in _connectors_of(source):
                check_dead_letters(source, name, kind, placed.get(name), problems)


def _connectors_of(source: Node) -> list[tuple[str, Connector[Any]]]:
    """The connectors whose keys stand in a source: one, or there is a mistake."""
    return [(key, kind) for key, kind in CONNECTORS.items() if key in _entries(source)]


def _check_listeners(plain: Mapping[str, Any], context: Mapping[str, Any], root: Node, problems: Problems) -> None:
    """Their section by itself: a mistake in another one hides nothing here."""
    try:
        listeners = Listeners.model_validate(plain.get("listeners", {}), context=context)
    except ValidationError:
        return  # complained of with all others
    addresses: dict[Listen, str] = {}
    for name, listener in listeners.by_name().items():
        if listener.address in addresses and listener.address.port:
            other = f"listeners.{addresses[listener.address]}"
            problems.add(root.find(("listeners", name, "address")), f"{other} is at that address already")
        addresses.setdefault(listener.address, name)
    for name, begins, ends in ends_of(listeners):
        if why := refused(begins, ends, time.time()):
            problems.warn(
                root.find(("listeners", name, "tls", "cert")), why, "renew it; it is taken up without a restart"
            )
    if not listeners.hub_api.address.is_loopback and listeners.hub_api.tls is None:
        hub_api = root.find(("listeners", "hub_api"))
        problems.warn(hub_api, "keys and handles cross the network in clear", f"give {hub_api.key}.tls")
    intake_name, intake = ("admin", listeners.admin) if listeners.intake is None else ("intake", listeners.intake)
    if not intake.address.is_loopback:
        posted_to = root.find(("listeners", intake_name, "address")).key
        for name, source in _entries(root, "sources").items():
            for key, kind in _connectors_of(source):
                if kind.is_posted_to and "auth" not in _entries(source, key):
                    message = f"all who reach {posted_to} can post events"
                    problems.warn(root.find(("sources", name, key)), message, "give the source an auth")
    if not listeners.admin.address.is_loopback and listeners.admin.auth is None:
        admin = root.find(("listeners", "admin"))
        problems.warn(admin, "all who reach it can manage it", "give listeners.admin.auth")
    proxy = None if listeners.admin.auth is None else listeners.admin.auth.proxy
    tls = listeners.admin.tls
    if proxy is not None and proxy.certificate is not None and (tls is None or tls.ca_file is None):
        certificate = root.find(("listeners", "admin", "auth", "proxy", "certificate"))
        problems.add(certificate, "the listener asks for none", "set listeners.admin.tls.ca_file, which has signed it")


def validated(
    model: type[ModelT],
    plain: Any,
    root: Node,
    problems: Problems,
    *,
    later: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType({}),
    context: Mapping[str, Any] | None = None,
) -> ModelT | None:
    """What a whole document says as a model; None after complaining of every mistake at its place.

    `plain` is the document without marks. `later` has the keys of a later version, by where they stand.
    """
    _check_numbers(root, [], problems, model)
    try:
        return model.model_validate(plain, context=context)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            _report(details, root, problems, model, later)
        return None


def _check_numbers(
    node: Node, location: list[int | str], problems: Problems, model: type[BaseModel] = Document
) -> None:
    """True and false are no numbers, though pydantic takes them for 1 and 0."""
    match node.value:
        case dict() as entries:
            for name, entry in entries.items():
                _check_numbers(entry, [*location, name], problems, model)
        case list() as items:
            for position, item in enumerate(items):
                _check_numbers(item, [*location, position], problems, model)
        case bool():
            try:
                field = _keyed_fields(_model_at(location[:-1], model))[str(location[-1])]
            except KeyError:
                return  # an unknown key, which has a complaint of its own, or a name
            kinds = {field.annotation, *get_args(field.annotation)}
            kinds |= {get_args(kind)[0] for kind in kinds if get_origin(kind) is Annotated}
            if kinds & {int, float} and bool not in kinds:
                problems.add(node, "expected a whole number" if int in kinds else "expected a time such as 30s")


def _report(
    details: ErrorDetails,
    root: Node,
    problems: Problems,
    model: type[BaseModel] = Document,
    later: Mapping[tuple[str, ...], tuple[str, ...]] = _LATER,
) -> None:
    """One complaint of pydantic, in our words and at its place."""
    location = [part for part in details["loc"] if part != "[key]"]
    node = root.find(location)
    if problems.is_mistaken(node.key) and details["type"] not in ("extra_forbidden", "missing"):
        return  # a substitution that failed left an empty text, which needs no second complaint
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            name = str(location[-1])
            pattern, known = _keys_at(location[:-1], model)
            problems.unknown_key(name, node, known, later.get(pattern, ()))
        case "missing":
            problems.add(node, f"{location[-1]} is missing", mark=node.key_mark)
        case "value_error":
            problems.add(node, str(context["error"]), _value_cure(str(context["error"]), node))
        case "string_too_short" | "too_short":
            problems.add(node, "is empty")
        case "literal_error":
            choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
            is_quoted = node.written in choices  # the number of a choice, as a text
            hint = (
                "write it without quotes" if is_quoted else did_you_mean(str(node.written), choices, all_if_few=False)
            )
            problems.add(node, f"expected {context['expected']}", hint)
        case "model_type" | "model_attributes_type":
            _, known = _keys_at(location, model)
            hint = cures.keys_cure(node, _model_at(location, model))
            problems.add(node, f"expected keys such as {', '.join(known[:3])}", hint)
        case "mapping_type" | "dict_type":
            problems.add(node, "expected keys", cures.section_cure(node.value))
        case "bool_type" | "bool_parsing":
            problems.add(node, "expected true or false", cures.flag_cure(node.text))
        case "string_pattern_mismatch" if (form := cures.form_of(str(location[-1]))) is not None:
            problems.add(node, form, cures.path_cure(node.text) if location[-1] == "path" else "")
        case kind if kind in _EXPECTED:
            problems.add(node, f"expected {_EXPECTED[kind]}", cures.kind_cure(kind, node))
        case _:
            problems.add(node, details["msg"].replace("Input should", "should").replace("String should", "should"))


def _value_cure(message: str, node: Node) -> str:
    if message.startswith("not a duration"):
        return cures.duration_cure(node.text)
    if message.startswith("not a regular expression"):
        return cures.pattern_cure(message)
    return cures.size_cure(node.text) if message.startswith("not a size") else ""


def _keys_at(location: list[int | str], model: type[BaseModel]) -> tuple[tuple[str, ...], list[str]]:
    """The place as _LATER names it, and the keys that may stand there."""
    pattern, found = _place_of(location, model)
    return pattern, [field.alias or name for name, field in fields_of(found).items()]


def _model_at(location: list[int | str], model: type[BaseModel]) -> type[BaseModel]:
    return _place_of(location, model)[1]


def _place_of(location: list[int | str], model: type[BaseModel]) -> tuple[tuple[str, ...], type[BaseModel]]:
    pattern: list[str] = []
    in_collection = False
    for part in location:
        if in_collection:
            pattern.append("*")
            in_collection = False
            continue
        pattern.append(str(part))
        annotation = _keyed_fields(model)[str(part)].annotation
        in_collection = get_origin(annotation) not in (None, Union, UnionType)
        model = _model_in(annotation) or model
    return tuple(pattern), model


def _keyed_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the keys that a file has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in get_args(annotation) if (model := _model_in(argument)) is not None), None)
