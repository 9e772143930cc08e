"""The page at every width, with the fonts of the machine, and whatever an event or a part of the process holds.

No word is broken, nothing overlaps, the page does not scroll sideways, and every text can be told from its background.
"""

import itertools
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.app import Daemon
from bridge.errors import Reason
from bridge.health import Part
from bridge.pipeline import End
from connectors.base import Message
from hub.notification import NativeContent, Notification, Platform
from hub.outcome import OutcomeName, Unreached
from hub.store.base import DeadLetter
from rules.decision import Decision, Intent
from rules.event import Event
from tests.bridge.chromium import Page, chromium
from tests.bridge.demo_process import running_demo
from tests.bridge.examples import passage_of
from tests.bridge.test_console import HOSTILE, running
from tests.hub.examples import notification

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WIDTHS = [1280, 390, 1920, 1600, 1440, 1024, 768, 320]
GERMAN = "Donaudampfschifffahrtsgesellschaftskapitänswitwenrentenauszahlungsbestätigung"

TEXTS = {
    "a number": "4711",
    "two words": "employee joined",
    "hyphens": "budget-approval-requested-by-the-department-for-marketing-and-communication",
    "slashes": "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/acme-production-westeurope",
    "a UUID": "0b1f6471-1bf0-4dda-aec3-111122223333",
    "dots": "com.acme.logistics.warehouse.shipment.delayed.by.customs.v1",
    "a German compound": GERMAN,
    "German compounds": f"{GERMAN} und {GERMAN}",
    "64 KiB": "x" * 65_536,
    "64 KiB of words": "ab-cd " * 10_000,
    "markup": HOSTILE,
    "right to left": "הזמנה 4711 שולמה بطلب ٤٧١١",
    "an override": "invoice\u202etxt.exe\u2066 \u202e",
    "control characters": "a\x00b\x1b[31mc\x7f\x85 d",
    "line and paragraph separators": "a\nb\r\nc\u2028d\u2029e",
    "invisible": "pay\u200bments\u00ad\ufeff\u200e",
    "lone surrogates": "\ud800 and \udfff",
    "Chinese": "订单已付款并且正在由仓库准备发货请耐心等待后续通知谢谢" * 3,
    "Thai": "คำสั่งซื้อของคุณได้รับการชำระเงินแล้วและกำลังเตรียมจัดส่ง" * 2,
    "emoji": "👩‍👩‍👧‍👦" * 30,
    "combining marks": "Z" + "\u0335\u0321\u0337" * 60,
    "full width": "ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺ" * 3,
    "a no-break space": "a\u00a0" * 60,
}

WORDS = """
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const words = []
  while (walker.nextNode()) {
    const node = walker.currentNode
    if (!node.parentElement.checkVisibility() || node.parentElement.closest('.label, .skip')) continue
    for (const match of node.data.matchAll(/[^\\s\\p{Script=Han}\\p{Script=Thai}]+/gu)) {
      const range = document.createRange()
      range.setStart(node, match.index)
      range.setEnd(node, match.index + match[0].length)
      words.push({ word: match[0], element: node.parentElement, rectangles: [...range.getClientRects()] })
    }
  }
"""

BROKEN = f"""(() => {{ {WORDS}
  const isBroken = ({{ rectangles }}) => {{
    const shown = rectangles.filter((one) => one.width > 0)
    return shown.some((one) => one.top >= shown[0].bottom || one.bottom <= shown[0].top)
  }}
  return words.filter(isBroken).map(({{ word }}) => word.slice(0, 80))
}})()"""
"""Words of which a part stands on another line."""

CUT_WITHOUT_A_TITLE = """[...document.querySelectorAll('.text')]
  .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 && !one.closest('[title]'))
  .map((one) => one.textContent.slice(0, 80))"""

OVERLAPPING = """(() => {
  const shown = [...document.querySelectorAll('#health .text, #health strong, .heading :is(h2, button), .stages span,'
    + ' #trail .text, #trail time, .bar > :not(.label), figcaption .text')]
    .filter((one) => one.checkVisibility() && !one.closest('.label'))
    .map((one) => ({ one, box: one.getBoundingClientRect() })).filter(({ box }) => box.width && box.height)
  const found = []
  for (const [index, a] of shown.entries()) {
    for (const b of shown.slice(index + 1)) {
      if (a.one.contains(b.one) || b.one.contains(a.one)) continue
      const isScrolled = a.one.closest('#all-parts') !== b.one.closest('#all-parts')
      const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left)
      const high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top)
      if (!isScrolled && wide > 1 && high > 2) found.push([a.one.textContent.slice(0, 40), b.one.textContent.slice(0, 40)])
    }
  }
  return found
})()"""

OUTSIDE = """[...document.querySelectorAll('#health *, #trail *, .heading *, .bar *')]
  .filter((one) => one.checkVisibility() && !one.closest('.label'))
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    && getComputedStyle(one).display !== 'inline')
  .map((one) => one.outerHTML.slice(0, 120))"""
"""What reaches over the page's edge. Words that find no room do, in a box that cuts them."""

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

FAINT = f"""(() => {{ {WORDS}
  const context = new OffscreenCanvas(1, 1).getContext('2d', {{ willReadFrequently: true }})
  const rgba = (color) => {{
    context.clearRect(0, 0, 1, 1)
    context.fillStyle = color
    context.fillRect(0, 0, 1, 1)
    return [...context.getImageData(0, 0, 1, 1).data]
  }}
  const behind = (element) => {{
    const [red, green, blue, alpha] = rgba(getComputedStyle(element).backgroundColor)
    return alpha === 255 ? [red, green, blue] : behind(element.parentElement)
  }}
  const luminance = (color) => {{
    const [red, green, blue] = color.map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }}
  const contrast = (element) => {{
    const [one, other] = [rgba(getComputedStyle(element).color).slice(0, 3), behind(element)].map(luminance)
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
  }}
  return words.filter(({{ element }}) => !element.closest('.device') && contrast(element) < 4.5)
    .map(({{ word, element }}) => `${{word}}: ${{contrast(element).toFixed(2)}}`)
}})()"""
"""Words whose contrast is below that of WCAG 2.2, success criterion 1.4.3, level AA."""


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with chromium(tmp_path / "profile") as page:
        yield page


async def faults(page: Page) -> dict[str, Any]:
    """What is wrong with the layout; all empty when nothing is."""
    checks = {"broken": BROKEN, "no title": CUT_WITHOUT_A_TITLE, "overlapping": OVERLAPPING, "outside": OUTSIDE}
    found = {name: await page.evaluate(check) for name, check in checks.items()}
    return {name: some for name, some in found.items() if some} | (
        {"sideways": sideways} if (sideways := await page.evaluate(SIDEWAYS)) else {}
    )


def way_of(daemon: Daemon, text: str, **changes: Any) -> None:
    """An event, and a send of the API, that hold a text wherever they can."""
    letter = DeadLetter(source="hr", event_id=text, rule=text, stage="rule", reason="render", detail=text, body=b"")
    event = Event(id=text, origin="hr", source="/hr", type=text, time=NOW, data={})
    sends: Sequence[Notification] = [
        notification("team:hr && (role:manager || !role:contractor)", rule=text),
        notification("$UserId:{anna.maria.von-und-zu.hohenlohe-schillingsfürst@example.com}", rule=text),
    ]
    daemon.trail.passed(
        [
            passage_of(
                Message(source="hr", body=b""),
                event=event,
                decision=Decision(tuple(Intent(rule=one.rule, notification=one) for one in sends), matched=(text,)),
                dead_letters=[letter],
            ),
            passage_of(Message(source="hr", body=b"", id=text), end=End.NO_MATCH),
            passage_of(
                Message(source="hr", body=b"", id=text),
                end=End.DEAD_LETTER,
                reason=Reason.DECODE,
                detail=text,
                dead_letters=[letter],
            ),
        ],
        now=NOW,
    )
    api = notification(rule="", content=NativeContent(platform=Platform.APNS, payload=b"{}"), hub="acme-central-europe")
    daemon.trail.sent(api, repeated=False, now=NOW)
    for one in (*sends, api):
        daemon.trail.targeted(one, {Platform.APNS: 1_234_567, Platform.FCM: 2_345_678, Platform.WNS: 12})
    for outcome in OutcomeName:
        daemon.trail.pushed(sends[0], Platform.APNS, {outcome: 1_234}, reason=text)
    daemon.trail.postponed(sends[1], Platform.FCM, reason=text, until=NOW.timestamp())
    nobody, remote = notification("vip"), notification("vip")
    for one in (nobody, remote):
        daemon.trail.sent(one, repeated=False, now=NOW)
    daemon.trail.targeted(nobody, {})
    daemon.trail.unreached(nobody, Unreached.NO_TEMPLATE)
    daemon.trail.forwarded(remote, OutcomeName.INVALID_NOTIFICATION_FORMAT, reason=text)


def many_parts(*texts: str) -> list[Part]:
    """Fifty sources, twenty hubs and all else, nearly all of them in trouble, each for the next reason of `texts`."""
    reasons = itertools.cycle(text[:1_000] for text in texts)
    long = "department-of-logistics-and-customs-" + "x" * 60

    def trouble(kind: str, name: str = "", *, state: str = "failing", **changes: Any) -> Part:
        return Part(kind=kind, name=name, ok=False, state=state, detail=next(reasons), since=0.0, **changes)

    return [
        trouble("process", state="stopping"),
        trouble("store"),
        *(
            trouble("source", f"{long}-{number}" if number % 3 else f"s{number}", state="connecting")
            for number in range(31)
        ),
        *(Part(kind="source", name=f"s{number}", state="running") for number in range(31, 50)),
        trouble("relay", long),
        *(
            trouble("push service", f"{hub}/{platform.value}", state="breaker open", until=NOW.timestamp())
            for hub in ("acme", *(f"{long}-{number}" for number in range(19)))
            for platform in Platform
        ),
        trouble("remote hub", long),
        trouble("configuration", state="refused", notes=[text[:500] for text in texts]),
        trouble("of another time", long, state="of which this page knows nothing"),
    ]


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_demo_breaks_no_word(page: Page, tmp_path: Path, width: int) -> None:
    async with running_demo(temporary=tmp_path / "t") as demo:
        await page.open(demo.page_url, size=(width, 900))
        await page.wait_for("document.querySelectorAll('.banner').length >= 8")
        await page.wait_for("document.querySelectorAll('#trail > li').length >= 5")
        assert await faults(page) == {}
        assert await page.evaluate("document.querySelectorAll('#trail .chip').length") > 5


@pytest.mark.parametrize("width", WIDTHS)
async def test_whatever_an_event_or_a_part_holds_breaks_no_word_and_no_layout(
    page: Page, tmp_path: Path, width: int
) -> None:
    async with running(tmp_path) as (daemon, client):
        daemon.health = lambda: many_parts(*TEXTS.values())  # type: ignore[method-assign]
        await page.open(str(client.base_url), size=(width, 900))
        for text in TEXTS.values():
            way_of(daemon, text)
        await page.wait_for(f"document.querySelector('#count').textContent === '{6 * len(TEXTS)}'")
        await page.wait_for("document.querySelector('#kinds').textContent.includes('31 of 50 down')")
        await page.evaluate("document.querySelector('#parts').open = true")
        assert await faults(page) == {}
        assert await page.evaluate("document.querySelectorAll('#health img, #trail img').length") == 0
        troubles = await page.evaluate("document.querySelectorAll('#troubles > li').length")
        assert troubles == 14  # three of each kind, and how many more


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
async def test_every_text_can_be_told_from_its_background(page: Page, tmp_path: Path, color_scheme: str) -> None:
    async with running(tmp_path) as (daemon, client):
        well = [Part(kind="store"), Part(kind="source", state="paused"), Part(kind="source", state="stopped")]
        daemon.health = lambda: [*many_parts("no route to host"), *well]  # type: ignore[method-assign]
        way_of(daemon, "order-4711")
        await page.open(str(client.base_url), size=(1280, 900), color_scheme=color_scheme)
        await page.wait_for("document.querySelectorAll('#trail > li').length === 6")
        await page.evaluate("document.querySelector('#parts').open = true")
        assert await page.evaluate(FAINT) == []


SHOWN = {
    "an override": "invoice⟨U+202E⟩txt.exe⟨U+2066⟩ ⟨U+202E⟩",
    "control characters": "a␀b␛[31mc⟨U+007F⟩⟨U+0085⟩ d",
    "line and paragraph separators": "a␊b␍␊c⟨U+2028⟩d⟨U+2029⟩e",
    "invisible": "pay⟨U+200B⟩ments⟨U+00AD⟩⟨U+FEFF⟩⟨U+200E⟩",
    "lone surrogates": "⟨U+D800⟩ and ⟨U+DFFF⟩",
    "markup": HOSTILE,
    "64 KiB": "x" * 200 + "…",
}


@pytest.mark.parametrize("name", SHOWN)
async def test_what_would_not_be_seen_is_shown_by_a_sign_of_its_own(page: Page, tmp_path: Path, name: str) -> None:
    async with running(tmp_path) as (daemon, client):
        daemon.trail.passed([passage_of(Message(source="hr", body=b"", id=TEXTS[name]), end=End.NO_MATCH)], now=NOW)
        await page.open(str(client.base_url))
        await page.wait_for("document.querySelector('#trail .id')")
        assert await page.evaluate("document.querySelector('#trail .id').textContent") == SHOWN[name]
