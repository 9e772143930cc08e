"""What phones say of themselves, by properties and by push variables."""

import pytest

from hub.self_description import locale_of, time_zone_of, with_said


@pytest.mark.parametrize(
    ("own", "variables", "locale"),
    [
        ("de-CH", {"locale": "fr"}, "de-CH"),
        (None, {"locale": "fr_CA"}, "fr-CA"),
        ("", {"LOCALE": "zh-Hant-TW"}, "zh-Hant-TW"),
        (None, {"language": "fr"}, ""),
        (None, {"locale": "{{ 7 }}"}, ""),
        (None, {"locale": "x" * 100_000}, ""),
        (None, None, ""),
    ],
)
def test_a_locale_is_the_property_else_a_push_variable_that_is_one(
    own: str, variables: dict[str, str], locale: str
) -> None:
    assert locale_of(own, variables) == locale


@pytest.mark.parametrize(
    ("own", "variables", "zone"),
    [
        ("Asia/Tokyo", {"timeZone": "Europe/Zurich"}, "Asia/Tokyo"),
        (None, {"TimeZone": "Europe/Zurich"}, "Europe/Zurich"),
        (None, {"timeZone": "Europe/Atlantis"}, ""),
        (None, {"timeZone": "/etc/localtime"}, ""),
        (None, {"timeZone": ".."}, ""),
        (None, {}, ""),
    ],
)
def test_a_time_zone_is_one_that_there_is(own: str | None, variables: dict[str, str], zone: str) -> None:
    assert time_zone_of(own, variables) == zone


def test_push_variables_say_what_properties_say_and_keep_the_others() -> None:
    assert with_said({"LOCALE": "fr", "name": "Ann"}, "de", "") == {"name": "Ann", "locale": "de"}
    untouched = {"locale": "fr"}
    assert with_said(untouched, "", "") is untouched
