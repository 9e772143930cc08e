"""Pages of broadcasts on their way to their audience: as columns where nothing else is asked of their registrations."""

from dataclasses import replace

import pytest
from pyroaring import BitMap

from hub.delivery.audiences import find_audiences
from hub.delivery.window import SHORT
from hub.notification import EVERYONE, Audience, Platform
from hub.store.contracts.outbox import Work
from hub.tags import parse
from hub.target import Target, TargetColumns, TargetKind
from tests.hub.examples import notification

ACCEPTED_AT, COUNT = 100.0, SHORT + 1


class Registrations:
    """Phones of one template that carry `news`, of which the last was registered at `latest`."""

    def __init__(self, *, latest: float) -> None:
        self.latest = latest
        self.asked: list[str] = []

    async def targets(self, hub: str, ordinals: BitMap) -> list[Target]:
        self.asked.append("targets")
        found = [Target(each, Platform.FCM, f"token {each}", 1, None, 1.0, tags=lambda: ("news",)) for each in ordinals]
        return [*found[:-1], replace(found[-1], registered_at=self.latest, tags=lambda: ("sports",))]

    async def target_columns(self, hub: str, ordinals: BitMap) -> TargetColumns:
        self.asked.append("columns")
        kinds = [TargetKind(Platform.FCM, 1, None)]
        return TargetColumns(list(ordinals), [f"token {each}" for each in ordinals], kinds, None, self.latest)


@pytest.mark.parametrize(
    ("audience", "latest", "attempt", "count", "asked"),
    [
        (parse("news"), ACCEPTED_AT - 1, 0, COUNT, ["columns"]),
        (EVERYONE, ACCEPTED_AT + 1, 1, COUNT, ["columns"]),
        (parse("news"), ACCEPTED_AT + 1, 0, COUNT - 1, ["columns", "targets"]),
        (parse("news"), 1.0, 1, COUNT - 1, ["columns", "targets"]),
    ],
    ids=["nobody registered since", "everyone", "one registered since", "tried again"],
)
async def test_a_page_is_columns_unless_one_of_its_phones_may_be_meant_no_more(
    audience: Audience, latest: float, attempt: int, count: int, asked: list[str]
) -> None:
    page = work(COUNT, audience=audience, attempt=attempt)
    registrations = Registrations(latest=latest)
    (found,) = await find_audiences(registrations, [page], {})  # type: ignore[arg-type]
    assert registrations.asked == asked
    assert [target.ordinal for target in found.targets] == list(range(count))


async def test_a_few_phones_are_read_as_they_are() -> None:
    registrations = Registrations(latest=1.0)
    await find_audiences(registrations, [work(SHORT, audience=EVERYONE)], {})  # type: ignore[arg-type]
    assert registrations.asked == ["targets"]


def work(count: int, *, audience: Audience, attempt: int = 0) -> Work:
    return Work(
        queue=0,
        number=1,
        notification=notification(audience),
        accepted_at=ACCEPTED_AT,
        ordinals=BitMap(range(count)),
        attempt=attempt,
    )
