"""How the page looks in a real browser with the fonts of this machine: no word is broken, and nothing leaves its place."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.admin.console.phones import Phone, Shown
from bridge.admin.health import Part
from bridge.app import Daemon
from bridge.errors import Reason
from bridge.observe.facts import EventOutcome, EventsStored
from connectors.base import Message
from hub.acceptance import DeadLetter
from hub.facts import AudienceFound, PushesEnded, SendAccepted
from hub.notification import EVERYONE, Notification, Platform
from hub.outcome import OutcomeName
from rules.decision import Decision, Intent
from rules.event import Event
from tests.bridge.chromium import Page, chromium
from tests.bridge.examples import passage_of, take
from tests.bridge.test_console import HOSTILE, running
from tests.hub.examples import notification

pytestmark = pytest.mark.browser

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
SIZES = [(1600, 900), (1280, 900), (1024, 800), (768, 900), (390, 844), (320, 640)]
UUID = "3f2b8c1e-9d47-4a5f-8b60-c1d2e3f4a5b6"
COMPOUND = "Rechtsschutzversicherungsgesellschaftenbeitragsrückerstattung"
RTL = "\u202egnp.tpircs\u202c שלום עולם مرحبا بالعالم"
CONTROLS = "a\x00b\x07c\x1b[31md\x7fe\u0085f\u200bg\u00adh\ud800i"

SPLIT_WORDS = """(() => {
  const split = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const node = walker.currentNode
    for (const { 0: word, index } of node.data.matchAll(/\\S+/g)) {
      const range = document.createRange()
      range.setStart(node, index)
      range.setEnd(node, index + word.length)
      const tops = [...range.getClientRects()].filter(({ width }) => width > 0).map(({ top }) => top)
      const isUnspaced = /[\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}]/u.test(word)
      if (!isUnspaced && Math.max(...tops) - Math.min(...tops) > 4) split.push(word.slice(0, 80))
    }
  }
  return split
})()"""
"""Words that stand on more than one line; those of scripts without spaces between words may."""

CUT_CHIPS = """[...document.querySelectorAll('#recent-events .way .chip, #recent-events .way .chip .word')]
  .filter((element) => element.scrollWidth > element.clientWidth).map((element) => element.textContent)"""
"""Numbers and outcomes that cannot be read whole."""

UNTITLED = """[...document.querySelectorAll('.word')].filter((word) => word.scrollWidth > word.clientWidth && !word.title)
  .map((word) => word.textContent)"""
"""Words that end in an ellipsis and do not say how they go on."""

OUTSIDE = """(() => {
  const outside = []
  for (const element of document.querySelectorAll('body *')) {
    if (element.closest('.devices, .unseen, .skip, template') || !element.getClientRects().length) continue
    if (getComputedStyle(element).clipPath !== 'none') continue
    const { left, right } = element.getBoundingClientRect()
    if (left < -0.5 || right > document.documentElement.clientWidth + 0.5) outside.push(element.outerHTML.slice(0, 100))
  }
  return outside
})()"""

OVERLAPS = """(() => {
  const boxes = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const node = walker.currentNode
    const parent = node.parentElement
    if (!node.data.trim() || parent.closest('.devices, .all, .unseen, .skip')) continue
    if ([parent, parent.parentElement].some((element) => getComputedStyle(element).clipPath !== 'none')) continue
    const range = document.createRange()
    range.selectNodeContents(node)
    const clip = parent.closest('.word, .chip')?.getBoundingClientRect()
    for (const rect of range.getClientRects()) {
      const right = clip ? Math.min(rect.right, clip.right) : rect.right
      const { left, top, bottom } = rect
      if (right - left > 1) boxes.push({ left, right, top, bottom, text: node.data.slice(0, 40), node })
    }
  }
  const overlaps = []
  boxes.forEach((one, index) => {
    for (const other of boxes.slice(index + 1)) {
      if (one.node === other.node) continue
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left)
      const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top)
      if (across > 2 && down > 4) overlaps.push(`${one.text} | ${other.text}`)
    }
  })
  return overlaps.slice(0, 10)
})()"""

PAGE_SCROLLS = "document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth"

FAINT = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const over = (color, below) => {
    canvas.fillStyle = below
    canvas.fillRect(0, 0, 1, 1)
    canvas.fillStyle = color
    canvas.fillRect(0, 0, 1, 1)
    const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data
    return `rgb(${red}, ${green}, ${blue})`
  }
  const luminance = (color) => {
    const [red, green, blue] = color.match(/[\\d.]+/g).map((part) => {
      const value = part / 255
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const faint = {}
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    if (!own || !element.getClientRects().length || element.closest('.screen, .skip, template')) continue
    const line = []
    for (let at = element; at; at = at.parentElement) line.unshift(getComputedStyle(at).backgroundColor)
    const below = line.reduce((color, next) => over(next, color), 'white')
    const [light, dark] = [luminance(over(getComputedStyle(element).color, below)), luminance(below)].sort((a, b) => b - a)
    const contrast = (light + 0.05) / (dark + 0.05)
    if (contrast < 4.5) faint[element.textContent.slice(0, 40)] = contrast
  }
  return faint
})()"""
"""Texts whose contrast is below 4.5 to 1 (WCAG 2.2, 1.4.3), beside those on a phone's screen."""


class _Phones:
    """Phones of all platforms, with long texts on their screens."""

    def phones(self) -> Sequence[Phone]:
        shown = [
            Shown(push_id="1", at=NOW, title=f"Freigabe: {COMPOUND}", subtitle=UUID, body=f"{COMPOUND} and some words"),
            Shown(push_id="2", at=NOW, title=HOSTILE, body=f"{RTL} {CONTROLS} https://example.org/{'path/' * 30}"),
        ]
        return [
            Phone(
                id=f"{platform}{number}",
                name=f"Hannelore-Maria's {platform}",
                platform=platform,
                user=UUID,
                tags=(f"team:{COMPOUND}", "role:manager"),
                screen=shown,
            )
            for platform in ("apns", "fcmv1", "wns", "browser")
            for number in range(2)
        ]

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


def event(daemon: Daemon, id: str, *notifications: Notification, source: str = "orders", **changes: Any) -> None:
    rules = tuple(one.rule for one in notifications)
    decision = Decision(tuple(Intent(rule=one.rule, notification=one) for one in notifications), matched=rules)
    made = Event(id=id, origin=source, source="/shop", type=f"com.example.{source}.changed", time=NOW, data={})
    passage = passage_of(Message(source=source, body=b""), event=made, decision=decision, **changes)
    take(daemon.recent_events, EventsStored(events=[passage]))


def outcomes(daemon: Daemon, sent: Notification, *names: OutcomeName) -> None:
    take(daemon.recent_events, AudienceFound(notification=sent, counts=dict.fromkeys(Platform.declared(), 1_234_567)))
    for platform in Platform.declared():
        take(
            daemon.recent_events,
            PushesEnded(
                notification=sent,
                platform=platform,
                outcomes=dict.fromkeys(names, 1_234_567 // len(names)),
                seconds=0.1,
            ),
        )


def fill(daemon: Daemon) -> None:
    """All that the list of recent events may have to show."""
    joined = notification("team:hr", rule="employee-joined")
    event(daemon, "12345/joined", joined, source="hr")
    outcomes(daemon, joined, OutcomeName.SUCCESS)
    long = notification(
        "(team:human-resources || role:branch-manager) && !$UserId:{maria.magdalena@example.org}",
        rule="budget-approval-requested-for-branch-managers",
    )
    event(daemon, UUID, long, source="human-resources-europe")
    outcomes(daemon, long, OutcomeName.ABANDONED, OutcomeName.TOKEN_PROVIDER_INTERFACE_ERROR, OutcomeName.SUCCESS)
    compound = notification(f"team:{COMPOUND}", rule=COMPOUND)
    event(daemon, COMPOUND, compound, source=COMPOUND)
    for hostile in (HOSTILE, RTL, CONTROLS, "x" * 65_536, "y " * 30_000, "会議の予定が変更されました" * 9, "Z̸̢̛" * 300):
        event(daemon, hostile, notification(rule=hostile), source=hostile[:200])
    send = notification(EVERYONE, schedule_at=datetime(2090, 1, 1, tzinfo=UTC))
    take(daemon.recent_events, SendAccepted(notification=send))
    event(daemon, "p-1002", outcome=EventOutcome.NO_MATCH)
    detail = f"orders.{COMPOUND}.value is missing; see https://example.org/{'path/' * 30}"
    letter = DeadLetter(
        source="orders", event_id="1", rule=COMPOUND, stage="rule", reason="render", detail=detail, body=b""
    )
    event(
        daemon, "p-1003", outcome=EventOutcome.DEAD_LETTER, reason=Reason.RENDER, detail=detail, dead_letters=[letter]
    )


CAUSE = f"connection refused by rabbitmq-{UUID}.messaging.svc.cluster.local:5671: {COMPOUND}"
PARTS = [
    Part(kind="process"),
    Part(kind="store", ok=False, state="failing", detail="accept: database or disk is full", since=1.8e9),
    Part(
        kind="configuration",
        ok=False,
        state="refused",
        detail="2 mistakes",
        since=1.8e9,
        mistake=f"{UUID}/c.yaml:5:2: no",
    ),
    *(
        Part(kind="source", name=f"{COMPOUND}-{n}" if n % 2 else f"s{n}", ok=n > 20, state="connecting", detail=CAUSE)
        for n in range(50)
    ),
    *(
        Part(
            kind="push service",
            name=f"hub-{hub}/{platform.value}",
            ok=hub > 3,
            state="breaker open",
            detail="InvalidProviderToken",
            since=1.8e9,
            until=9e9,
        )
        for hub in range(20)
        for platform in Platform.declared()
    ),
    Part(kind="remote hub", name="elsewhere", ok=False, state="failing", detail=CAUSE),
    Part(kind="relay", name="orders", ok=False, state="failing", detail=CAUSE),
]


@pytest.mark.parametrize("has_phones", [True, False], ids=["phones", "no phones"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
async def test_no_word_is_broken_and_nothing_leaves_its_place(
    size: tuple[int, int], has_phones: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        running(tmp_path, phones=_Phones() if has_phones else None) as (daemon, client),
        chromium(tmp_path / "profile") as page,
    ):
        monkeypatch.setattr(daemon, "health", lambda: PARTS)
        fill(daemon)
        await page.open(str(client.base_url), size=size)
        await page.wait_for("document.querySelectorAll('#recent-events > li').length === 13")
        await page.wait_for("document.querySelector('#connection').dataset.state === 'trouble'")
        for is_open in (False, True):
            await page.evaluate(
                f"for (const each of document.querySelectorAll('details')) each.open = {str(is_open).lower()}"
            )
            assert await page.evaluate(SPLIT_WORDS) == []
            assert await page.evaluate(CUT_CHIPS) == []
            assert await page.evaluate(UNTITLED) == []
            assert await page.evaluate(OUTSIDE) == []
            assert await page.evaluate(OVERLAPS) == []
            assert await page.evaluate(PAGE_SCROLLS) is False


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
async def test_every_text_stands_out_from_what_is_behind_it(
    color_scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, phones=_Phones()) as (daemon, client), chromium(tmp_path / "profile") as page:
        monkeypatch.setattr(daemon, "health", lambda: PARTS)
        fill(daemon)
        await page.open(str(client.base_url), color_scheme=color_scheme)
        await page.wait_for("document.querySelectorAll('#recent-events > li').length === 13")
        await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert await page.evaluate(FAINT) == {}


async def test_what_would_hide_or_turn_round_a_text_is_spelt_out(page_of_hostile: Page) -> None:
    shown = await page_of_hostile.evaluate(
        "[...document.querySelectorAll('#recent-events .id')].map((id) => id.textContent)"
    )
    assert "[U+202E]gnp.tpircs[U+202C] שלום עולם مرحبا بالعالم" in shown
    assert "a[U+0000]b[U+0007]c[U+001B][31md[U+007F]e[U+0085]f[U+200B]g[U+00AD]h[U+D800]i" in shown
    assert HOSTILE in shown
    assert max(map(len, shown)) <= 500 * len("[U+0000]")
    assert (
        await page_of_hostile.evaluate("document.querySelectorAll('#recent-events img, #recent-events script').length")
        == 0
    )
    assert await page_of_hostile.evaluate("document.querySelectorAll('*').length") < 20_000


@pytest.fixture
async def page_of_hostile(tmp_path: Path) -> Any:
    async with running(tmp_path) as (daemon, client), chromium(tmp_path / "profile") as page:
        fill(daemon)
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelectorAll('#recent-events > li').length === 13")
        yield page
