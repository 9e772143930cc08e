"""Whom a notification is about or for."""

import pytest

from hub.notification import EVERYONE, Audience
from hub.people import installation_person, people_of, person_key, user_of_tag
from tests.hub.examples import notification


@pytest.mark.parametrize(
    ("audience", "person", "people"),
    [
        (EVERYONE, "", []),
        ("news", "", []),
        (EVERYONE, "Ann", ["ann"]),
        ("$UserId:{Ann}", "", ["ann"]),
        ("$userid:{Ann} && !muted", "ann", ["ann"]),
        ("$UserId:{ann} || $UserId:{bob}", "eve", ["eve", "ann", "bob"]),
        ("news && !$UserId:{ann}", "", []),
        ("$InstallationId:{Phone}", "", ["$installationid:{phone}"]),
        ("customer:ann", "", []),
    ],
)
def test_people_are_those_it_is_about_and_the_users_and_phones_it_is_for(
    audience: str | Audience, person: str, people: list[str]
) -> None:
    assert list(people_of(notification(audience, person=person))) == people


def test_ids_compare_as_those_of_users_do() -> None:
    assert person_key("Ann") == person_key("ANN") != person_key("anna")
    assert person_key("straße") != person_key("strasse")
    assert installation_person("Phone") == people_of(notification("$InstallationId:{phone}"))[0]
    assert (user_of_tag("$UserId:{Ann}"), user_of_tag("ann"), user_of_tag("$InstallationId:{ann}")) == (
        "ann",
        None,
        None,
    )
