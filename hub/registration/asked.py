"""What a phone sends, read and checked: JSON, a known set of members, and nothing that its user's token does not give."""

import re
from collections.abc import Mapping
from typing import Any, Final

from hub.errors import InvalidRequestError
from hub.people import person_key
from hub.phone import PhoneOutcome, Topics
from hub.platforms.table import platforms, traits_of
from hub.registration.errors import RefusedError
from hub.registration.offer import User
from hub.registration.service import Asked
from hub.self_description import LOCALE, TIME_ZONE
from hub.tags import tag_key
from hub.topics import TOPIC_NAME, level_of, level_text

MAX_BODY: Final = 16 * 1024  # bytes
MAX_VARIABLES: Final = 20

_PHONE_ID: Final = re.compile(r"[A-Za-z0-9._-]{16,100}")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,4}")
_TIME_ZONE: Final = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_REGISTRATION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_VARIABLE: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_VALUE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,256}")
_MEMBERS: Final = frozenset(
    ["phone", "platform", "pushChannel", "locale", "timeZone", "pushVariables", "topics", "tags", "userId", "replaces"]
)


def asked_of(document: Mapping[str, Any], user: User, *, registration_id: str | None = None) -> Asked:
    """What a phone says of itself. Raises: InvalidRequestError; RefusedError: it wants to be another user's."""
    if strangers := sorted(document.keys() - _MEMBERS):
        raise InvalidRequestError(f"{strangers[0][:60]!r} is no member; there are {', '.join(sorted(_MEMBERS))}")
    _check_own(document, user)
    platform = _platform(_text(document, "platform"))
    channel = document.get("pushChannel")
    if not isinstance(channel, str) or not channel:
        raise InvalidRequestError("pushChannel: a text is needed")
    if traits_of(platform).is_broadcast(channel):  # its pushes would reach all who look on
        raise InvalidRequestError("pushChannel: a broadcast channel is no phone's")
    replaces = document.get("replaces")
    return Asked(
        phone_id=_formed(_text(document, "phone"), _PHONE_ID, "phone: 16 to 100 letters, digits and . _ -").lower(),
        platform=platform,
        push_channel=traits_of(platform).push_channel(channel),
        push_variables=_variables(document),
        topics=None if document.get("topics") is None else _topics(document["topics"]),
        registration_id=registration_id,
        replaces=""
        if replaces is None
        else _formed(replaces, _REGISTRATION_ID, "replaces: a registration id is needed"),
    )


def level_asked(document: Mapping[str, Any]) -> str:
    """The level of a subscription, empty for none. Raises: InvalidRequestError."""
    if document.keys() - {"level"}:
        raise InvalidRequestError("a subscription has a level and nothing else")
    return "" if document.get("level") is None else _level(document["level"])


def _check_own(document: Mapping[str, Any], user: User) -> None:
    """A phone may repeat what its token gives, and ask for no more. Raises: RefusedError, InvalidRequestError."""
    named = document.get("userId")
    if named is not None and (not isinstance(named, str) or person_key(named) != person_key(user.id)):
        raise RefusedError(PhoneOutcome.FORBIDDEN_TAG, "userId: the token is another user's")
    tags = document.get("tags") or []
    if not isinstance(tags, list):
        raise InvalidRequestError("tags: a list is needed; the server adds what the token gives")
    own = {tag_key(tag) for tag in user.tags}
    if not all(isinstance(tag, str) and tag_key(tag) in own for tag in tags):
        raise RefusedError(PhoneOutcome.FORBIDDEN_TAG, "tags: the token does not give one of them; topics are topics")


def _platform(text: str) -> Any:
    name = text.lower()
    for each in platforms():
        if name in (each.platform.value, *each.other_names):
            return each.platform
    raise InvalidRequestError(f"platform: {text[:60]!r} is unknown")


def _variables(document: Mapping[str, Any]) -> dict[str, str]:
    given = document.get("pushVariables") or {}
    if not isinstance(given, dict) or len(given) > MAX_VARIABLES:
        raise InvalidRequestError(f"pushVariables: an object of up to {MAX_VARIABLES} texts is needed")
    variables = {}
    for name, value in given.items():
        _formed(name, _VARIABLE, "pushVariables: a name has letters, digits and _, 64 at most")
        variables[name] = _formed(value, _VALUE, "pushVariables: a value is a text of up to 256 characters")
    if document.get("locale") is not None:
        variables[LOCALE] = _formed(document["locale"], _LOCALE, "locale: a language tag such as de or de-CH")
    if document.get("timeZone") is not None:
        variables[TIME_ZONE] = _formed(document["timeZone"], _TIME_ZONE, "timeZone: a name such as Europe/Zurich")
    return variables


def _topics(given: Any) -> Topics:
    """By name: true, a level, or an object with a level; what is false or null is off."""
    if not isinstance(given, dict):
        raise InvalidRequestError('topics: an object is needed, such as {"offers": true, "debits": {"level": 500}}')
    topics = {}
    for name, value in given.items():
        check_topic_name(name)
        if value is None or value is False:
            continue
        topics[name] = level_asked(value) if isinstance(value, dict) else "" if value is True else _level(value)
    return topics


def check_topic_name(name: str) -> None:
    """Raises: RefusedError: no topic can be called so; it may be another customer's tag."""
    if not TOPIC_NAME.fullmatch(name):
        raise RefusedError(PhoneOutcome.FORBIDDEN_TAG, "topics: this is not the name of a topic")


def _level(value: Any) -> str:
    level = None if isinstance(value, str) else level_of(value)
    if level is None:
        raise InvalidRequestError("level: a number is needed, such as 500")
    return level_text(level)


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{name}: a text is needed")
    return value


def _formed(value: Any, form: re.Pattern[str], words: str) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise InvalidRequestError(words)
    return value
