"""What the fields of a sample event are likely to be: what tells events apart, when they happened, and for whom.

Nothing here is certain, so each choice is a score over names and values, and the author reads the result.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.trial.field_words import (
    HAPPENED,
    ID_WORDS,
    LATER,
    OF_EVENT,
    OF_NOW,
    OF_OTHERS,
    THINGS,
    TITLES,
    TYPES,
    USERS,
)
from hub.tags import is_tag_safe
from hub.times import parse_time

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_TIME = re.compile(r"\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d(?::?\d\d(?:\.\d+)?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d\d\.\d\d\.\d{4}|\d\d/\d\d/\d{4}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.:/ -]{0,60}")
_EPOCH = (1_000_000_000, 4_102_444_800)
"""Seconds since 1970 from 2001 to 2100; the same in milliseconds."""

_LONGEST_SHOWN = 200
"""Characters of a text that a phone would show; a longer one is no line for people."""


@dataclass(frozen=True, slots=True)
class Field:
    """A scalar of the data: its path below `data`, and its value."""

    path: tuple[str, ...]
    value: Any

    @property
    def words(self) -> list[str]:
        """Of its name, in lower case."""
        return [word.lower() for word in _WORDS.findall(self.path[-1])]

    @property
    def is_of_an_event(self) -> bool:
        """Whether an id tells events apart, and not the things that events are about."""
        return (
            bool(_UUID.fullmatch(str(self.value)))
            or not OF_EVENT.isdisjoint(self.words)
            or (self.path == ("id",) and not str(self.value).isdigit())
        )

    @property
    def expression(self) -> str:
        """As a placeholder spells it: `data.a.b`, `data['a-b']`."""
        text = "data"
        for step in self.path:
            text += f".{step}" if step.isidentifier() else f"[{step!r}]"
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """What was made of a sample. Fields are None where nothing looks like it."""

    id: Field | None = None
    time: Field | None = None
    type: Field | None = None
    subject: Field | None = None
    user: Field | None = None
    shown: tuple[Field, ...] = field(default_factory=tuple)


def fields_of(data: Any, path: tuple[str, ...] = ()) -> Iterator[Field]:
    """The scalars of objects, at any depth; lists are passed over, as no placeholder names one element of many."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from fields_of(value, (*path, str(key)))
    elif path and not isinstance(data, list) and data is not None:
        yield Field(path, data)


def inferred_from(data: Any) -> Inferred:
    """What the fields of decoded data look like."""
    found = list(fields_of(data))
    type_ = _best(found, _type_score, least=1.0)
    id_ = _best(found, lambda one: _id_score(one, type_), least=1.0)
    time = _best(found, _time_score, least=1.0)
    user = _best([one for one in found if one is not id_], _user_score, least=1.0)
    taken = {id(each) for each in (id_, time, type_, user)}
    subject = _best([one for one in found if id(one) not in taken], lambda one: _id_score(one, None), least=1.0)
    shown = sorted(
        (one for one in found if id(one) not in taken and one is not subject and _is_for_people(one.value)),
        key=lambda one: (-_shown_score(one), len(one.path)),
    )
    return Inferred(id=id_, time=time, type=type_, subject=subject, user=user, shown=tuple(shown[:2]))


def _best(found: list[Field], score: Any, *, least: float) -> Field | None:
    scored = [(score(one), -index, one) for index, one in enumerate(found)]
    best = max(scored, default=None, key=lambda each: each[:2])
    return best[2] if best is not None and best[0] >= least else None


def _id_score(one: Field, type_: Field | None) -> float:
    if one is type_ or not _can_be_id(one):
        return 0.0
    text, words = str(one.value), one.words
    score = _score_of_name(one)
    if _UUID.fullmatch(text):
        score += 1.5
    elif re.search(r"\d", text):
        score += 0.5
    if words[-1] in THINGS and re.search(r"\d", text):
        score += 1.5
    return score - 0.6 * (len(one.path) - 1) if score > 0 else 0.0


def _can_be_id(one: Field) -> bool:
    """A number or one short word, and no time."""
    if isinstance(one.value, bool | float) or not isinstance(one.value, str | int) or not one.words:
        return False
    text = str(one.value)
    if not text or len(text) > 200 or re.search(r"\s", text.strip()) or "\n" in text:
        return False
    return not _looks_like_time(one)


def _score_of_name(one: Field) -> float:
    """What the name of an id speaks for, and below which names it stands."""
    words, score = one.words, 0.0
    named = not ID_WORDS.isdisjoint(words)
    if named:
        score += 2.5 if words[-1] in ID_WORDS else 1.0
        score -= 0.75 if words[-1] in ("code", "ref", "reference", "number", "no", "nr", "key") else 0.0
        score += 0.0 if OF_EVENT.isdisjoint(words) else 1.0
    score += 1.5 if "".join(words) in ("id", "eventid", "messageid", "uuid", "guid", "msgid") else 0.0
    score -= 0.0 if OF_OTHERS.isdisjoint(words) else 2.5
    above = (word.lower() for step in one.path[:-1] for word in _WORDS.findall(step))
    return score - (0.0 if OF_OTHERS.isdisjoint(above) else 2.0)


def _looks_like_time(one: Field) -> bool:
    value = one.value
    if isinstance(value, str):
        return bool(_TIME.fullmatch(value.strip()) or _DATE.fullmatch(value.strip()))
    return False


def _time_score(one: Field) -> float:
    words = one.words
    named = sum(word in HAPPENED for word in words)
    value = one.value
    if isinstance(value, str) and _TIME.fullmatch(value.strip()):
        score = 3.0
    elif isinstance(value, str) and _DATE.fullmatch(value.strip()):
        score = 1.25 if named or not OF_NOW.isdisjoint(words) else 0.5
    elif isinstance(value, int) and not isinstance(value, bool) and (named or not OF_NOW.isdisjoint(words)):
        low, high = _EPOCH
        score = 2.0 if low <= value < high or 1000 * low <= value < 1000 * high else 0.0
    else:
        return 0.0
    try:
        parse_time(value)
    except ValueError:
        return 0.0
    score += 1.0 if named else 0.0
    score += 1.0 if any(word in OF_NOW for word in words) else 0.0
    score -= 3.0 if any(word in LATER for word in words) else 0.0
    return score - 0.4 * (len(one.path) - 1)


def _type_score(one: Field) -> float:
    value = one.value
    if not isinstance(value, str) or not _WORD.fullmatch(value) or len(value) > 60:
        return 0.0
    joined = "".join(one.words)
    for rank, name in enumerate(TYPES):
        if joined == name:
            return 3.0 - 0.15 * rank - 0.5 * (len(one.path) - 1)
        if joined.endswith(name) and name in ("type", "action", "status", "state", "kind"):
            return 2.0 - 0.15 * rank - 0.5 * (len(one.path) - 1)
    return 0.0


def _user_score(one: Field) -> float:
    value, words = one.value, one.words
    if isinstance(value, bool | float) or not isinstance(value, str | int) or not is_tag_safe(str(value)):
        return 0.0
    ends_as_id = bool(words) and (words[-1] in ID_WORDS or words[-1] in USERS)
    above = [word.lower() for step in one.path[:-1] for word in _WORDS.findall(step)]
    for rank, name in enumerate(USERS):
        if name in words and ends_as_id:
            return 3.0 - 0.15 * rank
        if name in above and words and words[-1] in ID_WORDS:
            return 2.5 - 0.15 * rank
    return 0.0


def _is_for_people(value: Any) -> bool:
    return not isinstance(value, bool) and len(str(value)) <= _LONGEST_SHOWN


def _shown_score(one: Field) -> float:
    joined = "".join(one.words)
    if joined in TITLES:
        return 3.0 - 0.1 * TITLES.index(joined)
    if isinstance(one.value, int | float):
        return 2.0 if any(word in ("amount", "total", "price", "score", "sum") for word in one.words) else 1.0
    return 1.5 if isinstance(one.value, str) and len(one.value) < 60 and not _looks_like_time(one) else 0.5
