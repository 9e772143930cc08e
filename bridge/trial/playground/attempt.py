"""Tries one event on a draft of the rules, in a process of its own: what people type is read and run here alone.

Lines of JSON go in and out. In: the configuration without its secrets (`configuration.py`), and then, once the process is
confined, what a person wrote. Out: what came of it, with the audiences that are asked for. In: the templates of these
audiences. Out: what would leave. The process has no secret, no connection and no store.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from bridge.config.load import check
from bridge.config.models.document import Settings
from bridge.config.samples import pem_file
from bridge.trial.given import given_message
from bridge.trial.keeping_back import KeepingBack
from bridge.trial.payloads import Payload, Payloads
from bridge.trial.playground.as_test import as_test
from bridge.trial.playground.configuration import DRAFTED
from bridge.trial.playground.confinement import confine
from bridge.trial.report import event_report, payload_report
from bridge.trial.trial import Trial, TriedNotification
from hub.notification import EVERYONE, NativeContent, Platform
from hub.platforms.table import services, traits_of
from hub.target import StoredTemplate, Target
from rules.document import load_document
from rules.node import Mark
from rules.problems import Problem, Problems, Severity

SHOWN_RECORDS: Final = 20
"""Records of one message that are shown, at most."""

SHOWN_NOTIFICATIONS: Final = 20
"""Notifications whose audiences are asked for, at most."""

_SHOWN_PROBLEMS = 100
_SHOWN_PAYLOADS = 12
"""Templates of one notification that are filled."""

_SOURCE_OF_RULE = re.compile(r": rules\[\d+\]\.source$")

_USUAL = ("apns", "fcmv1", "wns", "browser")
"""Push services whose look is shown by a sample of a template where no phone is registered that has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftFiles:
    """The files that the configuration would have."""

    directory: Path
    configuration: bytes
    rules: bytes

    @property
    def rest_file(self) -> Path:
        return self.directory / "configuration"

    @property
    def rules_file(self) -> Path:
        return self.directory / "draft"

    @property
    def files(self) -> Mapping[Path, bytes]:
        return {self.rest_file: self.configuration, self.rules_file: self.rules}


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer one request; see the module."""
    trusted = json.loads(requests.readline())
    if "withheld" in trusted["configuration"].lower():
        pem_file()  # before no file can be written, also none that is in memory alone
    not_enforced = confine()
    asked = json.loads(requests.readline())

    def answer(content: Mapping[str, Any]) -> None:
        answers.write(json.dumps(content).encode() + b"\n")
        answers.flush()

    draft = DraftFiles(
        directory=Path(trusted["directory"]),
        configuration=trusted["configuration"].encode(),
        rules=asked["rules"].encode("utf-8", "surrogatepass"),
    )
    settings, problems = checked(draft)
    report = {"problems": [_problem(each, draft) for each in problems[:_SHOWN_PROBLEMS]], "not_enforced": not_enforced}
    if settings is None or asked["source"] not in settings.sources:
        answer(report | {"events": [], "count": 0, "test": "", "audiences": []})
        return
    asyncio.run(_try(settings, draft, asked, report, answer, requests))


async def _try(
    settings: Settings,
    draft: DraftFiles,
    asked: Mapping[str, Any],
    report: dict[str, Any],
    answer: Callable[[Mapping[str, Any]], None],
    requests: BinaryIO,
) -> None:
    now = datetime.fromisoformat(asked["now"])
    message = given_message(
        settings.sources[asked["source"]].connector,
        source=asked["source"],
        body=asked["body"].encode("utf-8", "surrogatepass"),
        headers=asked["headers"],
        meta=asked["meta"],
        content_type=asked["content_type"] or None,
        name="1",
        at=now,
    )
    trial = Trial(settings, clock=lambda: now)
    tried = await trial.each(message)
    await trial.close()
    notifications = [each for one in tried[:SHOWN_RECORDS] for each in one.notifications]
    asked_for = [each for each in notifications if not each.remote][:SHOWN_NOTIFICATIONS]
    answer(
        report
        | {
            "events": [_event(event_report(each), draft) for each in tried[:SHOWN_RECORDS]],
            "count": len(tried),
            "test": as_test(message, tried, now=now),
            "audiences": [_audience(each) for each in asked_for],
        }
    )
    if not asked_for:
        return
    found = json.loads(requests.readline())
    async with aclosing(_Looks(settings, asked.get("locale", ""))) as looks:
        keeping_back = KeepingBack(settings, clock=lambda: now)
        answer(
            {
                "notifications": [
                    {"payloads": await looks.of(each, one), "kept_back": _kept_back(keeping_back, each, one)}
                    for each, one in zip(asked_for, found["found"], strict=True)
                ]
            }
        )


def _kept_back(keeping_back: KeepingBack, tried: TriedNotification, found: Mapping[str, Any]) -> Sequence[str]:
    zones = {(Platform(platform), zone): count for platform, zone, count in found["zones"]}
    return keeping_back.said(tried.notification, pushes=found["pushes"], zones=zones)


def checked(draft: DraftFiles) -> tuple[Settings | None, Sequence[Problem]]:
    """The settings with the draft's rules, and what is wrong with them; the rest of the configuration stays."""
    other = Problems()
    root = load_document(draft.rules_file, other, {}, no_secrets=True, drafts=draft.files)
    if root is None or not isinstance(root.value, dict):
        return None, other.sorted()
    for name, node in root.value.items():
        if name not in (*DRAFTED, "version"):
            other.add(node, f"a draft has {' and '.join(DRAFTED)} alone", mark=node.key_mark)
    if other.has_errors:
        return None, other.sorted()
    paths = [draft.rest_file, draft.rules_file]
    settings, problems = check(paths, {}, no_secrets=True, samples=True, drafts=draft.files)
    is_kept = [each for each in problems if _is_of(each.mark, draft.rules_file) or each.severity is Severity.ERROR]
    return settings, is_kept


def _is_of(mark: Mark, file: Path) -> bool:
    return mark.file == str(file)


def _problem(problem: Problem, draft: DraftFiles) -> Mapping[str, Any]:
    """With line 0 where the mistake is not in the draft."""
    is_here = _is_of(problem.mark, draft.rules_file)
    return {
        "line": problem.mark.line if is_here else 0,
        "column": problem.mark.column if is_here else 0,
        "key": problem.key,
        "message": problem.message,
        "hint": problem.hint.replace(f"{draft.rules_file}:", "line ").replace(f"{draft.rest_file}:", "the rest, line "),
        "severity": problem.severity.value,
    }


def _event(report: dict[str, Any], draft: DraftFiles) -> Mapping[str, Any]:
    """With places in the draft as `line:column: key`, and without the rules of other sources, which are counted."""
    mine = [rule for rule in report["rules"] if not _is_of_another_source(rule["condition"])]
    report["rules_of_other_sources"] = len(report["rules"]) - len(mine)
    report["rules"] = mine
    for rule in mine:
        for placed in (rule, rule["condition"]):
            if placed is not None:
                placed["place"] = placed["place"].removeprefix(f"{draft.rules_file}:")
    return report


def _is_of_another_source(condition: Mapping[str, Any] | None) -> bool:
    return condition is not None and _SOURCE_OF_RULE.search(condition["place"]) is not None


def _audience(tried: TriedNotification) -> Mapping[str, Any]:
    notification = tried.notification
    content = notification.content
    native = content.platform.value if isinstance(content, NativeContent) else None
    text = None if isinstance(content, NativeContent) or content.text is None else content.text.name
    platforms = notification.platforms
    return {
        "hub": notification.hub,
        "to": None if notification.audience == EVERYONE else str(notification.audience),
        "platforms": None if platforms is None else sorted(each.value for each in platforms),
        "native": native,
        "text": text,
    }


@dataclass(slots=True)
class _Looks:
    """What would leave for the templates that phones have, and for samples of templates."""

    settings: Settings
    locale: str
    """The language of the phones that read texts held here."""
    _templates: dict[int, StoredTemplate] = field(default_factory=dict)
    _payloads: Payloads = field(init=False)

    def __post_init__(self) -> None:
        self._payloads = Payloads(self.settings.hubs, self)

    async def templates(self, ids: Sequence[int]) -> Mapping[int, StoredTemplate]:
        return {each: self._templates[each] for each in ids}

    async def held_texts(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        return {}  # a notification that was not stored has its text with it

    async def aclose(self) -> None:
        await self._payloads.close()

    async def of(self, tried: TriedNotification, found: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """One for each template, with how many registrations of the sample have it: none for one that is made up."""
        notification = tried.notification
        given = found["templates"][:_SHOWN_PAYLOADS]
        targets = [self._target(Platform(each["platform"]), each["template"]) for each in given]
        counts = [each["registrations"] for each in given]
        for platform in self._lacking(tried, {each["platform"] for each in given}):
            sample: Mapping[str, Any] = {"body": traits_of(platform).sample_template, "headers": {}, "expiry": None}
            content = notification.content
            needs_template = not isinstance(content, NativeContent) and content.text is None
            targets.append(self._target(platform, sample if needs_template else None))
            counts.append(0)
        payloads = [(await self._payloads.of(notification, [target], most=1))[0] for target in targets]
        return [self._report(payload, count) for payload, count in zip(payloads, counts, strict=True)]

    def _lacking(self, tried: TriedNotification, there: set[str]) -> Sequence[Platform]:
        """Platforms that it may go to and of which no phone was found: the usual ones, and the one of its payload."""
        content = tried.notification.content
        if isinstance(content, NativeContent):
            usual = [content.platform]
        else:
            usual = [each.platform for each in services() if each.platform.value in _USUAL]
        allowed = tried.notification.platforms
        return [each for each in usual if each.value not in there and (allowed is None or each in allowed)]

    def _target(self, platform: Platform, template: Mapping[str, Any] | None) -> Target:
        number = len(self._templates) + 1
        if template is not None:
            headers = template["headers"]
            self._templates[number] = StoredTemplate(body=template["body"], headers=headers, expiry=template["expiry"])
        return Target(
            ordinal=number,
            platform=platform,
            push_channel=traits_of(platform).sample_push_channel(f"playground-{number}"),
            template=None if template is None else number,
            push_variables=None,
            registered_at=0.0,
            own_locale=self.locale or None,
        )

    def _report(self, payload: Payload, registrations: int) -> Mapping[str, Any]:
        shown = payload_report(payload, hide_channels=True)
        return shown | {"registrations": registrations, "url": ""}
