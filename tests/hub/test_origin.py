"""Where a send of another pushbridge comes from: written, read again, and never a reason to refuse the send."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.acceptance import ConfigurationVersion
from hub.origin import ORIGIN_HEADER, Origin, Origins, origin_in
from tests.hub.examples import notification

ORIGIN = Origin(
    source="shop-sidecar/orders",
    event_id="order 4711/ä&=",
    rule="order-shipped",
    configuration=ConfigurationVersion(revision="v7", hash="0123456789ab"),
)


def test_what_is_written_is_read() -> None:
    assert ORIGIN.header.isascii()
    assert origin_in({ORIGIN_HEADER: ORIGIN.header}) == ORIGIN
    assert origin_in({}) is None


def test_an_id_that_is_too_long_is_not_sent_along() -> None:
    assert Origin(source="a/b", event_id="ä" * 1000, rule="r", configuration=ConfigurationVersion()).header == ""


@pytest.mark.parametrize(
    "text",
    [
        "event=1&rule=r",
        "source=orders&event=1&rule=r",  # the name of a source here
        "source=a/b&event=1",
        "source=a/b&rule=r",
        "source=a/b&event=1%00&rule=r",
        "source=a/b&event=1&rule=r&revision=%00",
        "source=a/b/c&event=1&rule=r",
        "source=a/b&rule=r&event=" + "x" * 5000,
        "source=a/b&rule=r&event=" + "x" * 2049,  # more than an index of PostgreSQL takes
        "source=a/b&rule=r&event=" + "%F0%9F%98%80" * 100 + "x" * 1649,
        "source=a/" + "%E6%9D%B1" * 180 + "&rule=r&event=1",
        "%ff",
    ],
)
def test_what_cannot_be_understood_is_nothing(text: str) -> None:
    assert origin_in({ORIGIN_HEADER: text}) is None


def test_configurations_that_are_made_up_for_each_send_are_kept_to_a_number() -> None:
    origins = Origins(most=3)
    said = [replace(ORIGIN, configuration=ConfigurationVersion(hash=str(number))) for number in range(5)]
    for _ in range(2):
        read = [origins.read({ORIGIN_HEADER: each.header}) for each in said]
        assert read == [*said[:3], *[replace(each, configuration=ConfigurationVersion()) for each in said[3:]]]
    assert origins.read({}) is None


@given(st.text(max_size=100))
def test_any_header_is_an_origin_or_nothing(text: str) -> None:
    found = origin_in({ORIGIN_HEADER: text})
    assert found is None or "/" in found.source


def test_an_entry_names_the_rule_and_its_notification_and_no_value() -> None:
    sent = notification("$UserId:{ann}")
    entry = ORIGIN.entry(sent)
    assert (entry.source, entry.event_id, entry.content) == ("shop-sidecar/orders", "order 4711/ä&=", None)
    assert entry.person == "userid:{ann}" or "ann" in entry.person
    assert orjson.loads(entry.detail) == {
        "forwarded": True,
        "rules": ["order-shipped"],
        "notifications": [["order-shipped", sent.id]],
    }
