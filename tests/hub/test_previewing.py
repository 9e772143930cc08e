"""What a preview says of an audience is what the send makes of it, on a registry that stands still."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.guards import AudienceGuard, guarded
from hub.installation import Installation, Registration
from hub.notification import EVERYONE, Audience, NativeContent, Notification, Platform
from hub.outcome import OutcomeName, Unreached
from hub.store.contracts.registry import AudiencePreview, GoneChannel
from hub.tags import And, MaxTags, Not, Or, Tag, TagExpression, installation_tag, parse, user_tag
from tests.hub.examples import GREETING, HUB, installation, notification
from tests.hub.running import Running

TAGS = ["a", "b", "c", "d", "rare", "nowhere"]
PLATFORMS = [Platform.APNS, Platform.FCM, Platform.WNS]
SEED = 11
CASES, BATCHES = 1000, 10
MANY = MaxTags(only_or=1000, only_and=1000, mixed=1000)
SKIPPED = OutcomeName.SKIPPED.value


def phones(chance: random.Random, count: int, now: float) -> list[Installation]:
    """Some share a push channel, some have no template or two, some expire soon or have a user."""
    made = []
    for number in range(count):
        platform = chance.choice(PLATFORMS)
        tags = chance.sample(TAGS[:4], chance.randrange(4)) + (["rare"] if number % 17 == 0 else [])
        one = installation(
            f"p{number}",
            *tags,
            platform=platform,
            push_channel=f"shared {platform.value} {number % 3}" if chance.random() < 0.2 else "",
            templates=chance.random() < 0.7,
        )
        if one.templates and chance.random() < 0.2:
            second = replace(GREETING, tags=("rare",), body=GREETING.body.replace("title", "subtitle"))
            one = replace(one, templates={**one.templates, "second": second})
        if chance.random() < 0.3:
            one = replace(one, user_id=f"u{number % 5}")
        if chance.random() < 0.15:
            one = replace(one, expires_at=datetime.fromtimestamp(now + 10, UTC))
        made.append(one)
    return made


def expression(chance: random.Random, depth: int = 3) -> TagExpression:
    kind = chance.randrange(4) if depth else 0
    if kind == 1:
        return Not(expression(chance, depth - 1))
    if kind in (2, 3):
        operands = tuple(expression(chance, depth - 1) for _ in range(chance.randint(2, 3)))
        return And(operands) if kind == 2 else Or(operands)
    if chance.random() < 0.15:
        return Tag(chance.choice([installation_tag(f"p{chance.randrange(60)}"), user_tag(f"u{chance.randrange(6)}")]))
    return Tag(chance.choice(TAGS))


def a_case(chance: random.Random) -> Notification:
    audience: Audience = EVERYONE if chance.random() < 0.1 else parse(str(expression(chance)), max_tags=MANY)
    changes: dict[str, Any] = {}
    if chance.random() < 0.5:
        changes["content"] = NativeContent(platform=chance.choice(PLATFORMS), payload=b"{}")
    elif chance.random() < 0.3:
        changes["platforms"] = frozenset(chance.sample(PLATFORMS, chance.randint(1, 2)))
    return notification(audience, **changes)


async def preview(running: Running, one: Notification) -> AudiencePreview:
    return await running.hub.store.preview(one, guarded(one, running.hub.guards))


async def outcome(running: Running, one: Notification) -> tuple[dict[str, int], dict[str, int], Unreached | None]:
    """Pushes that were made, those that others of the same push channel stand for, and why there are none."""
    kept = await running.hub.store.notification(one.id)
    skipped = {name: counts[SKIPPED] for name, counts in kept.counts.items() if SKIPPED in counts}
    pushes = {name: sum(counts.values()) - counts.get(SKIPPED, 0) for name, counts in kept.counts.items()}
    return {name: count for name, count in pushes.items() if count}, skipped, kept.unreached


def named(counts: Any) -> dict[str, int]:
    return {platform.value: count for platform, count in counts.items()}


@pytest.mark.slow
async def test_a_preview_equals_the_send_in_a_thousand_cases(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    running = Running(tmp_path / "hub.db", senders=[Platform.APNS])  # wns has no credential
    await running.start()
    await running.hub.put_installations(HUB, phones(chance, 60, running.clock()))
    for number in range(10):
        alone = Registration(
            registration_id=f"{number}-1-1",
            platform=Platform.FCM,
            push_channel=f"shared fcmv1 {number % 3}",
            tags=("a",),
        )
        await running.hub.put_registration(
            HUB, alone if number % 2 else replace(alone, template=GREETING, template_name="t")
        )
    await running.store.mark_channels_dead(
        HUB, [GoneChannel(platform=Platform.FCM, push_channel=f"token of p{number}", reason="") for number in range(9)]
    )
    running.clock.advance(11)
    reached = 0
    for batch in range(BATCHES):
        running.hub.guards.clear()
        if batch % 2:
            running.hub.guards[HUB] = AudienceGuard(only_to=parse(str(expression(chance, 1)), max_tags=MANY))
        cases = [a_case(chance) for _ in range(CASES // BATCHES)]
        previews = [await preview(running, one) for one in cases]
        for one in cases:
            await running.hub.send(one)
        await running.observer.until_ended((batch + 1) * len(cases))
        for one, previewed in zip(cases, previews, strict=True):
            pushes, skipped, unreached = await outcome(running, one)
            said = f"{one.audience} {one.content} {one.platforms} {running.hub.guards}"
            assert named(previewed.counts) == pushes, said
            assert named(previewed.skipped) == skipped, said
            if previewed.unreached is not None or not pushes:
                assert previewed.unreached == unreached, said
            assert len(previewed.samples) == min(10, sum(pushes.values())), said
            reached += bool(pushes)
    assert reached > CASES / 5
    await running.stop()


@pytest.mark.parametrize("only_to", ["", "a"])
async def test_a_preview_of_a_broadcast_counts_what_is_pushed(tmp_path: Path, only_to: str) -> None:
    """Of pages, whose registrations are not read when they are made: some have expired."""
    chance = random.Random(SEED)
    guards = {HUB: AudienceGuard(only_to=parse(only_to))} if only_to else {}
    running = Running(tmp_path / "hub.db", senders=[Platform.APNS], guards=guards)
    await running.start()
    await running.hub.put_installations(HUB, phones(chance, 5000, running.clock()))
    running.clock.advance(11)
    cases = [notification(), notification(content=NativeContent(platform=Platform.APNS, payload=b"{}"))]
    previews = [await preview(running, one) for one in cases]
    for one in cases:
        await running.hub.send(one)
    await running.observer.until_ended(2)
    for one, previewed in zip(cases, previews, strict=True):
        assert (named(previewed.counts), named(previewed.skipped)) == (await outcome(running, one))[:2]
        assert sum(previewed.counts.values()) > 400
        assert bool(previewed.left_out) is bool(only_to)
    await running.stop()


async def test_a_preview_says_what_phones_lack(tmp_path: Path) -> None:
    running = Running(tmp_path / "hub.db", guards={HUB: AudienceGuard(only_to=parse("!customer"))})
    await running.start()
    await running.hub.put_installations(
        HUB,
        [
            installation("a", "news"),
            installation("bare", "news", templates=False),
            installation("iphone", "news", platform=Platform.APNS, push_channel="AB"),
            installation("customer", "news", "customer"),
        ],
    )
    found = await preview(running, notification("news || sports"))
    assert named(found.counts) == {"fcmv1": 1, "apns": 1}
    assert found.without_template is not None
    assert named(found.without_template) == {"fcmv1": 1}
    assert (found.left_out, found.gone, found.unreached) == (1, 0, None)
    assert found.tags["news"] == 7
    assert found.tags["sports"] == 0
    assert {(each.device, each.template) for each in found.samples} == {("a", "greeting"), ("iphone", "greeting")}
    native = await preview(running, notification("news", content=NativeContent(platform=Platform.WNS, payload=b"<a/>")))
    assert named(native.other_platforms) == {"fcmv1": 2, "apns": 1}
    assert native.unreached is Unreached.OTHER_PLATFORM
    assert (await preview(running, notification("customer"))).unreached is Unreached.ONLY_TO
    assert (await preview(running, notification("sports"))).unreached is Unreached.NO_TAG
    nowhere = await preview(running, replace(notification("sports"), hub="another"))
    assert (nowhere.unreached, nowhere.tags) == (Unreached.NO_TAG, {"sports": 0})
    await running.stop()
