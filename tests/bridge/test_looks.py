"""Looks of pushes in a real browser: what is drawn for each kind of message of each push service."""

import json
from pathlib import Path
from typing import Any

import pytest

from hub.platforms.table import services
from tests.bridge.chromium import chromium
from tests.bridge.test_console import HOSTILE, running
from tests.bridge.test_console_layout import PAGE_SCROLLS

pytestmark = pytest.mark.browser

TOAST = '<toast scenario="{}"><visual><binding><text>Hi</text><text>there</text></binding></visual></toast>'
_MPNS = '<wp:Notification xmlns:wp="WPNotification"><wp:{0}>{1}</wp:{0}></wp:Notification>'


def apns(kind: str, aps: Any, **more: Any) -> tuple[str, dict[str, str], str]:
    return "apns", {"apns-push-type": kind}, json.dumps({"aps": aps, **more})


def given(platform: str, content: Any, **headers: str) -> tuple[str, dict[str, str], str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return platform, named, content if isinstance(content, str) else json.dumps(content)


_LOUD = {"alert": {"title": "T", "subtitle": "S", "body": "B"}, "badge": 3, "interruption-level": "time-sensitive"}
LOOKS = {
    "alert": (
        apns("alert", _LOUD, picture="https://x.example/a.png"),
        "banner",
        ["T", "S", "B", "Picture", "icon: 3", "Focus"],
    ),
    "alert of one text": (
        apns("alert", {"alert": "Fire", "sound": {"critical": 1}}),
        "banner",
        ["Fire", "even when muted"],
    ),
    "key of the app": (apns("alert", {"alert": {"loc-key": "HELLO"}}), "banner", ["HELLO"]),
    "number alone": (apns("alert", {"badge": 12}), "banner", ["12", "Only the number"]),
    "silent": (apns("background", {"content-available": 1}), "silent", ["Nothing is shown", "wakes the app"]),
    "call": (apns("voip", {}, caller="Ann Muster"), "call", ["Ann Muster", "Incoming call"]),
    "activity": (
        apns("liveactivity", {"event": "end", "content-state": {"gate": "B32"}}),
        "activity",
        ["Ends", "gate", "B32"],
    ),
    "no activity": (apns("liveactivity", {"event": "x"}), "broken", ["Cannot be drawn", "start, update or end"]),
    "location": (apns("location", {}), "silent", ["location"]),
    "FCM": (
        given("fcmv1", {"message": {"notification": {"title": "T"}, "android": {"notification": {"body": "A"}}}}),
        "banner",
        ["T", "A"],
    ),
    "FCM data": (given("fcmv1", {"message": {"data": {"k": "v"}}}), "silent", ["Nothing is shown", "k", "v"]),
    "toast": (
        given("wns", TOAST.format("urgent"), X_WNS_Type="wns/toast"),
        "banner",
        ["Hi", "there", "Do not disturb"],
    ),
    "toast of a call": (given("wns", TOAST.format("incomingCall"), X_WNS_Type="wns/toast"), "call", ["Hi"]),
    "tile": (
        given("wns", "<tile><visual><binding><text>Hi</text></binding></visual></tile>", X_WNS_Type="wns/tile"),
        "tile",
        ["Hi"],
    ),
    "badge": (given("wns", '<badge value="7"/>', X_WNS_Type="wns/badge"), "badge", ["7"]),
    "raw": (given("wns", "x", X_WNS_Type="wns/raw"), "silent", ["Nothing is shown"]),
    "entities": (
        given("wns", '<!DOCTYPE t [<!ENTITY e "x">]><toast>&e;</toast>', X_WNS_Type="wns/toast"),
        "broken",
        ["no XML"],
    ),
    "declarative": (
        given("browser", {"web_push": 8030, "notification": {"title": "T", "navigate": "https://x"}}),
        "banner",
        ["T", "Declarative", "Opens"],
    ),
    "browser": (
        given("browser", {"title": "T", "body": "B", "silent": True}),
        "banner",
        ["T", "B", "No sound", "service worker"],
    ),
    "ADM": (given("adm", {"data": {"k": "v"}}), "silent", ["k", "v"]),
    "Xiaomi": (given("xiaomi", "title=T&description=D+E"), "banner", ["T", "D E"]),
    "Xiaomi passed": (given("xiaomi", {"title": "T", "pass_through": 1}), "silent", ["for the app"]),
    "Huawei": (
        given("huawei", {"message": {"android": {"notification": {"title": "T", "importance": "LOW"}}}}),
        "banner",
        ["T", "LOW"],
    ),
    "Baidu": (given("baidu", {"title": "T", "description": "D"}), "banner", ["T", "D"]),
    "MPNS": (given("mpns", _MPNS.format("Toast", "<wp:Text1>T</wp:Text1>")), "banner", ["T"]),
    "MPNS tile": (
        given("mpns", _MPNS.format("Tile", "<wp:Title>T</wp:Title><wp:Count>4</wp:Count>")),
        "tile",
        ["T", "4"],
    ),
    "no JSON": (given("apns", "{"), "broken", ["no JSON"]),
    "markup": (apns("alert", {"alert": {"title": HOSTILE, "body": "\u202ereversed"}}), "banner", ["<img", "[U+202E]"]),
    "shapes that no service takes": (
        apns("alert", {"alert": {"title": ["x"], "body": {"y": 1}}, "badge": "z", "sound": 5}),
        "silent",
        ["Nothing"],
    ),
}
DRAW = """(async (looks) => {
  const { drawLook } = await import('/looks.js')
  const place = document.createElement('div')
  place.className = 'looks'
  document.querySelector('#content').replaceChildren(place)
  place.append(...looks.map(([platform, headers, body]) => drawLook({ platform, headers, body })))
  return [...place.children].map((each) => [each.dataset.kind, each.textContent])
})(%s)"""


async def test_each_kind_of_message_has_its_look(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client), chromium(tmp_path / "p") as page:
        await page.open(f"{client.base_url}/playground")
        drawn = await page.evaluate(DRAW % json.dumps([each for each, _, _ in LOOKS.values()]))
        for name, (kind, said), (_, wanted, words) in zip(LOOKS, drawn, LOOKS.values(), strict=True):
            assert kind == wanted, (name, said)
            for word in words:
                assert word in said, (name, said)
        assert await page.evaluate("document.querySelectorAll('.looks img:not(.icon), .looks script').length") == 0
        assert await page.evaluate(PAGE_SCROLLS) is False


async def test_every_push_service_has_a_look_of_its_sample(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client), chromium(tmp_path / "p") as page:
        await page.open(f"{client.base_url}/playground", size=(390, 844))
        samples = []
        for each in services():
            text = each.sample_template.replace("$(title)", "Hello").replace("$(body)", "World")
            headers = dict(each.template_body(text, {}).headers)
            samples.append([each.platform.value, headers, text])
        drawn = await page.evaluate(DRAW % json.dumps(samples))
        for (platform, _, _), (kind, said) in zip(samples, drawn, strict=True):
            assert kind in ("banner", "silent"), (platform, said)
            assert "not known here" not in said, platform
            assert "Hello" in said, (platform, said)
        assert await page.evaluate(PAGE_SCROLLS) is False
