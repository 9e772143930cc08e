"""Reading a configuration and finding every mistake in it."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from bridge.config.across import check_across
from bridge.config.complaints import LATER_KEYS, check_numbers, report
from bridge.config.egress import warn_of_unproxied, with_egress
from bridge.config.in_clear import warn_of_secrets
from bridge.config.listening import check_listeners
from bridge.config.memory import young_garbage_only
from bridge.config.models.document import Document, Sections, Settings, default_hub
from bridge.config.models.listeners import AdminListener, Listeners
from bridge.config.produced import produced_by
from bridge.config.spellings import OLD_SECTIONS, in_present_spelling
from bridge.config.unstored import warn_of_volume
from bridge.config.written import entries, hub_of, mapping
from connectors.duration import seconds_in
from rules.advice.reach import Produced, ReachCheck, check_map
from rules.advice.services import check_native
from rules.advice.together import check_together
from rules.content.reader import NamedContent, read_contents
from rules.document import Drafts, Paths, load_document
from rules.engine import RuleSet
from rules.loader import RuleReader, rules_in
from rules.node import Mark, Node, RuleNodes
from rules.problems import Problem, Problems, Severity
from rules.read_files import ReadFiles
from rules.scope import HubScope, Scope
from rules.windows import name_of, read_windows

_WHOLE_FILE = ""
"""The key of a complaint about a file of which nothing could be read."""

_MOST_SECTIONS = 100
"""Sections after which a misspelt one is compared with the known ones no more: a file of so many is no configuration."""


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
    sections = entries(in_present_spelling(_as_meant(root, problems), problems))
    written = entries(sections["listeners"]) if "listeners" in sections else {}
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
    check_across(root, plain, rule_set, problems)
    check_listeners(plain, context, root, problems)
    for name, node in sections.items():
        check_numbers(node, [name], problems)
    try:
        checked: Sections | None = Sections.model_validate(plain, context=context)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            report(details, root, problems)
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
    later = LATER_KEYS[()]
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
    sources = mapping(plain.get("sources"))
    produced: dict[str, Produced] = {name: produced_by(name, source, context) for name, source in sources.items()}
    for name, source in entries(root, "sources").items():
        if "map" in entries(source):
            check_map(entries(source)["map"], produced[name], problems)
    return produced


def _plain(section: str, node: Node) -> Any:
    """As the models take it: a source or hub that says nothing is one that is named, and no key left empty."""
    plain = node.plain()
    if section in ("sources", "hubs") and isinstance(node.value, dict):
        return {name: plain.get(name, {}) for name in node.value}
    return plain


def _scope(plain: Mapping[str, Any], contents: Mapping[str, NamedContent], written: Node | None) -> Scope:
    """What rules may refer to; a hub with a mistake in it is still a hub."""
    hubs = {name: hub_of(value) for name, value in mapping(plain.get("hubs")).items()}
    return Scope(
        sources=frozenset(mapping(plain.get("sources"))),
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
        sinks=frozenset(mapping(plain.get("sinks"))),
        timezone=_timezone(plain),
        contents=contents,
        mistaken_contents=frozenset(() if written is None or not isinstance(written.value, dict) else written.value),
        sources_are_known=isinstance(plain.get("sources", {}), dict),
        hubs_are_known=isinstance(plain.get("hubs", {}), dict),
        sinks_are_known=isinstance(plain.get("sinks", {}), dict),
    )


def _timezone(plain: Mapping[str, Any]) -> tzinfo:
    """Of the process; a name that is a mistake is complained of elsewhere."""
    name = mapping(plain.get("bridge")).get("timezone", "UTC")
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC  # an OSError is of a part of a name, such as Europe, or of a very long one
