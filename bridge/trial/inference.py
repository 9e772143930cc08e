"""From one sample event to a configuration: which format, what tells events apart, when they happened, and for whom.

Nothing here is certain, so each choice is a score over names and values, and the author reads the result.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from hub.tags import is_tag_safe
from hub.times import parse_time

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_TIME = re.compile(r"\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d(?::?\d\d(?:\.\d+)?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d\d\.\d\d\.\d{4}|\d\d/\d\d/\d{4}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.:/ -]{0,60}")
_EPOCH = (1_000_000_000, 4_102_444_800)
"""Seconds since 1970 from 2001 to 2100; the same in milliseconds."""

_ID_WORDS = frozenset(["id", "uuid", "guid", "key", "no", "nr", "number", "num", "ref", "reference", "docnum", "code"])
_OF_EVENT = frozenset(
    ["event", "message", "msg", "notification", "alert", "posting", "transaction", "txn", "evt", "delivery"]
)
_OF_OTHERS = frozenset(
    [
        "customer",
        "client",
        "user",
        "account",
        "acct",
        "employee",
        "person",
        "member",
        "contact",
        "owner",
        "approver",
        "requester",
        "tenant",
        "company",
        "merchant",
        "supplier",
        "vendor",
        "product",
        "item",
        "sku",
        "article",
        "line",
        "device",
        "session",
        "parent",
        "correlation",
        "causation",
        "trace",
        "span",
        "category",
        "site",
        "store",
        "shop",
        "region",
        "country",
        "currency",
        "card",
        "iban",
        "manager",
        "author",
        "sender",
        "recipient",
        "receiver",
        "phone",
        "cost",
        "center",
        "department",
        "plant",
        "warehouse",
        "carrier",
        "tracking",
        "schema",
        "version",
        "app",
        "org",
    ]
)
_THINGS = frozenset(
    [
        "order",
        "invoice",
        "ticket",
        "case",
        "incident",
        "shipment",
        "claim",
        "request",
        "booking",
        "policy",
        "job",
        "document",
        "task",
    ]
)
_HAPPENED = frozenset(["time", "timestamp", "ts", "at", "date", "datetime", "on", "when"])
_OF_NOW = frozenset(
    ["event", "occurred", "created", "creation", "happened", "booked", "booking", "posted", "published"]
)
_LATER = frozenset(
    [
        "expires",
        "expiry",
        "expiration",
        "eta",
        "due",
        "valid",
        "until",
        "end",
        "deadline",
        "birth",
        "dob",
        "scheduled",
        "planned",
        "expected",
        "estimated",
        "delivery",
        "start",
        "arrival",
        "departure",
        "hire",
        "effective",
        "value",
        "updated",
        "modified",
        "changed",
        "previous",
        "last",
        "from",
        "to",
        "requested",
        "promised",
        "version",
    ]
)
_TYPES = (
    "eventtype",
    "type",
    "event",
    "eventname",
    "kind",
    "action",
    "messagetype",
    "what",
    "state",
    "status",
    "topic",
)
_USERS = ("user", "customer", "employee", "member", "approver", "account", "client", "recipient", "person", "contact")
_TITLES = (
    "title",
    "subject",
    "summary",
    "name",
    "headline",
    "description",
    "message",
    "text",
    "body",
    "reason",
    "what",
)


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
            or not _OF_EVENT.isdisjoint(self.words)
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
    """What was made of a sample. `decode` is the section of that name. Fields are None where nothing looks like it."""

    decode: Mapping[str, Any]
    id: Field | None = None
    time: Field | None = None
    type: Field | None = None
    subject: Field | None = None
    user: Field | None = None
    shown: tuple[Field, ...] = field(default_factory=tuple)


def format_of(body: bytes) -> str:
    """`json`, `cloudevents`, `xml` or `text`. Raises: ValueError: it is none of them."""
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise ValueError("the sample is empty")
    if start[:1] in (b"{", b"["):
        try:
            content = orjson.loads(start)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the sample begins as JSON does, and is none: {error}") from error
        if isinstance(content, list):
            raise ValueError("the sample is a list: an event is one object; take one of them")
        return "cloudevents" if {"specversion", "type", "source", "id"} <= content.keys() else "json"
    if start[:1] == b"<":
        return "xml"
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise ValueError("the sample is neither JSON, XML nor text in UTF-8") from error
    return "text"


def fields_of(data: Any, path: tuple[str, ...] = ()) -> Iterator[Field]:
    """The scalars of objects, at any depth; lists are passed over, as no placeholder names one element of many."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from fields_of(value, (*path, str(key)))
    elif path and not isinstance(data, list) and data is not None:
        yield Field(path, data)


def inferred_from(data: Any, decode: Mapping[str, Any]) -> Inferred:
    """What the fields of decoded data look like."""
    found = list(fields_of(data))
    type_ = _best(found, _type_score, least=1.0)
    id_ = _best(found, lambda one: _id_score(one, type_), least=1.0)
    time = _best(found, _time_score, least=1.0)
    user = _best([one for one in found if one is not id_], _user_score, least=1.0)
    taken = {id(each) for each in (id_, time, type_, user)}
    subject = _best([one for one in found if id(one) not in taken], lambda one: _id_score(one, None), least=1.0)
    shown = sorted(
        (one for one in found if id(one) not in taken and one is not subject and not isinstance(one.value, bool)),
        key=lambda one: (-_shown_score(one), len(one.path)),
    )
    return Inferred(decode=decode, id=id_, time=time, type=type_, subject=subject, user=user, shown=tuple(shown[:2]))


def pattern_of(text: str) -> str:
    """A pattern with a named group for each number and each quoted value of a line, and one for its last word."""
    pieces: list[str] = []
    end = 0
    names: dict[str, int] = {}
    for match in re.finditer(r"'([^']+)'|\"([^\"]+)\"|(?<![\w.])(?=\w*\d)(\w[\w.:-]*\w|\w)", text):
        pieces.append(_fixed(text[end : match.start()]))
        quote = match[0][0] if match[0][0] in "'\"" else ""
        inner = match[1] or match[2] or match[3]
        kind = r"\d+" if inner.isdigit() else ("[^'\"]+" if quote else r"[\w.:-]+")
        pieces.append(f"{quote}(?P<{_group(text[: match.start()], names)}>{kind}){quote}")
        end = match.end()
    rest = text[end:].rstrip("\r\n")
    if last := re.search(r"(\w+)(\W*)$", rest):
        pieces.append(f"{_fixed(rest[: last.start()])}(?P<{_group('what', names)}>.+?){_fixed(last[2])}")
    else:
        pieces.append(_fixed(rest))
    return "".join(pieces) + r"\s*"


def _fixed(text: str) -> str:
    return re.sub(r"(\\ )+", r"\\s+", re.escape(text)).replace("\\s+", " ") if text else ""


def _group(before: str, names: dict[str, int]) -> str:
    """A name for a value by the word before it: of `Employee Id '1'` it is `id`."""
    words = re.findall(r"[A-Za-z]+", before)
    name = words[-1].lower() if words else "value"
    names[name] = names.get(name, 0) + 1
    return name if names[name] == 1 else f"{name}{names[name]}"


def _best(found: list[Field], score: Any, *, least: float) -> Field | None:
    scored = [(score(one), -index, one) for index, one in enumerate(found)]
    best = max(scored, default=None, key=lambda each: each[:2])
    return best[2] if best is not None and best[0] >= least else None


def _id_score(one: Field, type_: Field | None) -> float:
    value, words = one.value, one.words
    if isinstance(value, bool | float) or not isinstance(value, str | int) or not words:
        return 0.0
    text = str(value)
    if not text or len(text) > 200 or "\n" in text or (" " in text.strip() and not _UUID.fullmatch(text)):
        return 0.0
    if _looks_like_time(one) or one is type_:
        return 0.0
    score = 0.0
    named = [word for word in words if word in _ID_WORDS]
    joined = "".join(words)
    if named:
        score += 2.5 if words[-1] in _ID_WORDS else 1.0
        if words[-1] in ("code", "ref", "reference", "number", "no", "nr", "key"):
            score -= 0.75
    if joined in ("id", "eventid", "messageid", "uuid", "guid", "msgid") or (
        words[-1] in _THINGS and re.search(r"\d", text)
    ):
        score += 1.5
    if any(word in _OF_EVENT for word in words):
        score += 1.0 if named else 0.0
    if any(word in _OF_OTHERS for word in words):
        score -= 2.5
    if any(word in _OF_OTHERS for step in one.path[:-1] for word in map(str.lower, _WORDS.findall(step))):
        score -= 2.0
    if _UUID.fullmatch(text):
        score += 1.5
    elif re.search(r"\d", text):
        score += 0.5
    return score - 0.6 * (len(one.path) - 1) if score > 0 else 0.0


def _looks_like_time(one: Field) -> bool:
    value = one.value
    if isinstance(value, str):
        return bool(_TIME.fullmatch(value.strip()) or _DATE.fullmatch(value.strip()))
    return False


def _time_score(one: Field) -> float:
    words = one.words
    named = sum(word in _HAPPENED for word in words)
    value = one.value
    if isinstance(value, str) and _TIME.fullmatch(value.strip()):
        score = 3.0
    elif isinstance(value, str) and _DATE.fullmatch(value.strip()):
        score = 1.25 if named or not _OF_NOW.isdisjoint(words) else 0.5
    elif isinstance(value, int) and not isinstance(value, bool) and (named or not _OF_NOW.isdisjoint(words)):
        low, high = _EPOCH
        score = 2.0 if low <= value < high or 1000 * low <= value < 1000 * high else 0.0
    else:
        return 0.0
    try:
        parse_time(value)
    except ValueError:
        return 0.0
    score += 1.0 if named else 0.0
    score += 1.0 if any(word in _OF_NOW for word in words) else 0.0
    score -= 3.0 if any(word in _LATER for word in words) else 0.0
    return score - 0.4 * (len(one.path) - 1)


def _type_score(one: Field) -> float:
    value = one.value
    if not isinstance(value, str) or not _WORD.fullmatch(value) or len(value) > 60:
        return 0.0
    joined = "".join(one.words)
    for rank, name in enumerate(_TYPES):
        if joined == name:
            return 3.0 - 0.15 * rank - 0.5 * (len(one.path) - 1)
        if joined.endswith(name) and name in ("type", "action", "status", "state", "kind"):
            return 2.0 - 0.15 * rank - 0.5 * (len(one.path) - 1)
    return 0.0


def _user_score(one: Field) -> float:
    value, words = one.value, one.words
    if isinstance(value, bool | float) or not isinstance(value, str | int) or not is_tag_safe(str(value)):
        return 0.0
    ends_as_id = bool(words) and (words[-1] in _ID_WORDS or words[-1] in _USERS)
    above = [word.lower() for step in one.path[:-1] for word in _WORDS.findall(step)]
    for rank, name in enumerate(_USERS):
        if name in words and ends_as_id:
            return 3.0 - 0.15 * rank
        if name in above and words and words[-1] in _ID_WORDS:
            return 2.5 - 0.15 * rank
    return 0.0


def _shown_score(one: Field) -> float:
    joined = "".join(one.words)
    if joined in _TITLES:
        return 3.0 - 0.1 * _TITLES.index(joined)
    if isinstance(one.value, int | float):
        return 2.0 if any(word in ("amount", "total", "price", "score", "sum") for word in one.words) else 1.0
    return 1.5 if isinstance(one.value, str) and len(one.value) < 60 and not _looks_like_time(one) else 0.5
