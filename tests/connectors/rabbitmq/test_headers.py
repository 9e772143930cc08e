"""Headers of a message from elsewhere go on as data: the broker takes them and does nothing on their behalf."""

import pytest

from connectors.rabbitmq.headers import LEFT_OUT, carried

FRAME = 131_072


def test_what_an_application_says_goes_on_as_it_is() -> None:
    headers = {"x-tenant": "7", "x-pushbridge-reason": "render", "cc-mail": "bob", "count": 3, "": "nameless"}
    assert carried(headers, frame_max=FRAME) == headers


@pytest.mark.parametrize(
    "name", ["CC", "cc", "BCC", "x-death", "X-Death", "x-first-death-queue", "x-last-death-reason", "x-delivery-count"]
)
def test_what_the_broker_would_act_upon_travels_under_another_name(name: str) -> None:
    assert carried({name: "['other']"}, frame_max=FRAME) == {f"original-{name}": "['other']"}


def test_a_name_that_amqp_cannot_write_is_left_out_and_told() -> None:
    name = "ä" * 128
    assert carried({name: "v", "b": "w", "k" * 255: "x"}, frame_max=FRAME) == {"b": "w", "k" * 255: "x", LEFT_OUT: name}


def test_a_name_that_gets_too_long_by_its_new_beginning_is_left_out_too() -> None:
    name = "x-first-death-" + "q" * 241
    assert carried({name: "v", "b": "w"}, frame_max=FRAME) == {"b": "w", LEFT_OUT: f"original-{name}"}


def test_of_more_than_a_frame_takes_the_largest_are_left_out() -> None:
    headers = {"small": "s", "huge": "h" * 200_000, "large": "l" * 60_000, "larger": "ä" * 40_000}
    kept = carried(headers, frame_max=FRAME)
    assert kept == {"small": "s", "large": "l" * 60_000, LEFT_OUT: "huge, larger"}


def test_thousands_of_headers_fit_a_small_frame_and_the_list_of_those_left_out_is_bounded() -> None:
    kept = carried({f"header-{number:05}": "v" * 50 for number in range(5000)}, frame_max=4096)
    assert sum(len(name) + len(value) + 6 for name, value in kept.items()) < 4096 - 512
    assert len(kept) > 5
