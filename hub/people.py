"""Persons: whom a notification or a message is about, under the key by which all that is kept of them is found."""

from collections.abc import Iterator
from functools import lru_cache

from hub.notification import Audience, Everyone, Notification
from hub.tags import And, Not, Or, Tag, installation_tag, tag_key

_USER = "$userid:{"
_INSTALLATION = "$installationid:{"


def person_key(person: str) -> str:
    """What ids of persons are compared by: as ids of users are, letter by letter but for case."""
    return tag_key("$" + person)[1:]


def installation_person(installation_id: str) -> str:
    """The key of what is for one installation alone, whoever its user is."""
    return tag_key(installation_tag(installation_id))


def user_of_tag(tag: str) -> str | None:
    """The key of the user that a tag `$UserId:{id}` names; None for another tag."""
    if not tag.startswith("$"):
        return None
    key = tag_key(tag)
    return key[len(_USER) : -1] if key.startswith(_USER) else None


def people_of(notification: Notification) -> tuple[str, ...]:
    """Keys of those whom a notification is about or for: its person, then the users and installations of its audience.

    Whom an audience leaves out (`!$UserId:{id}`) is none of them.
    """
    audience = notification.audience
    if not notification.person:
        if isinstance(audience, Everyone):
            return ()
        if isinstance(audience, Tag):  # as most are
            return _of_tag(audience.name) if audience.name.startswith("$") else ()
    own = (person_key(notification.person),) if notification.person else ()
    return tuple(dict.fromkeys((*own, *_named(audience))))


def _named(audience: Audience) -> Iterator[str]:
    match audience:
        case Tag(name):
            yield from _of_tag(name)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _named(operand)
        case Not() | Everyone():
            return


@lru_cache(maxsize=4096)
def _of_tag(tag: str) -> tuple[str, ...]:
    """Asked twice of each event of a batch: for its journal, and for the rows of its notifications."""
    if (user := user_of_tag(tag)) is not None:
        return (user,)
    return (key,) if tag.startswith("$") and (key := tag_key(tag)).startswith(_INSTALLATION) else ()
