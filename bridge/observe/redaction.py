"""What may not be read in logs: taken out by the names of fields and by the look of text (pure)."""

import hashlib
import re
from collections.abc import Mapping, Set
from datetime import date
from enum import Enum
from functools import lru_cache
from typing import Any

from hub.outcome import DELIVERY_LABELS, OutcomeName

REMOVED = "[removed]"

_CREDENTIAL = re.compile(
    r"[a-z]*(?:cookie|credential|key|passphrase|password|passwd|pwd|secret|signature|token)s?"
    r"|authori[sz]ation|jwt|pem|sas"
)
_PERSONAL = re.compile(r"bod(?:y|ies)|data|handles?|payloads?")
_CONNECTION_STRING = re.compile(r"(?i)connection_?string")
_PUSH_CHANNEL = re.compile(r"(?i)push_?channel")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_COUNTED = frozenset([*(outcome.value for outcome in OutcomeName), *DELIVERY_LABELS.values()])
"""Names of outcomes: some sound like credentials (`InvalidToken`), and a number under one is how often it was seen."""

_MAX_DEPTH = 8

_ASSIGNED = re.compile(
    r"(?i)(\b(?:SharedAccessKey|SharedAccessSignature|AccountKey|access_token|client_secret|password|pwd|secret|sig)|[?&]token)"
    r"(\s*[=:]\s*)(?!warning: )[^\s;&,\"']+"  # a complaint of `check` about the key of a secret keeps its words
)
_SCHEMES = re.compile(r"(?i)\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}")


class _Treatment(Enum):
    SHOW = "show"
    FINGERPRINT = "fingerprint"
    REMOVE = "remove"


_SHOW = _Treatment.SHOW  # looked up once: this is the hot path


def redact(event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a log line without what may not be read there, as plain JSON-like data.

    By the words of a field's name, at any depth: credentials (`password`, `apiKey`, `connection_string`, ...) are
    removed; push channels, payloads and bodies become a fingerprint, which is short but the same for the same value,
    so that lines about one phone can be found. In any text, user names and passwords in URLs, and what follows
    `SharedAccessKey=`, `?token=` (the push channel of a WNS URL) or `Bearer` and their like, are removed. A whole number
    under the name of an outcome (`InvalidCredentials`) is a count and stays.
    """
    return _mapping(event, 0)


def fingerprint(value: object) -> str:
    """`sha256:` and eight hexadecimal digits: enough to recognise a value, too little to have it."""
    raw = value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")
    return f"sha256:{hashlib.sha256(raw).hexdigest()[:8]}"


def _mapping(fields: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    shown = {}
    for key, value in fields.items():
        if type(key) is not str:
            key = str(key.value if isinstance(key, Enum) else key)
        name, treatment = _name(key)
        if treatment is _SHOW and type(value) is str:  # nearly always
            shown[name] = value if value.isalnum() else clean(value)
        elif treatment is _SHOW or value is None or (type(value) is int and key in _COUNTED):
            shown[name] = _value(value, depth)
        else:
            shown[name] = REMOVED if treatment is _Treatment.REMOVE else fingerprint(value)
    return shown


@lru_cache(maxsize=2048)
def _name(name: str) -> tuple[str, _Treatment]:
    """The name of a field as it may be shown, and what to do with its value."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if any(map(_CREDENTIAL.fullmatch, words)) or _CONNECTION_STRING.search(name):
        return clean(name), _Treatment.REMOVE
    if any(map(_PERSONAL.fullmatch, words)) or _PUSH_CHANNEL.search(name):
        return clean(name), _Treatment.FINGERPRINT
    return clean(name), _Treatment.SHOW


def _value(value: Any, depth: int) -> Any:
    if type(value) is str:  # nearly always, and not an Enum that is a text as well
        return clean(value)
    if isinstance(value, Enum):
        return _value(value.value, depth)
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, (bool, int, float, date)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return fingerprint(bytes(value))
    if isinstance(value, (dict, list, tuple, Mapping, Set)):  # the abstract ones last: asking them is slow
        if depth == _MAX_DEPTH:
            return "..."
        if isinstance(value, (dict, Mapping)):
            return _mapping(value, depth + 1)
        return [_value(item, depth + 1) for item in value]
    return clean(str(value))


def clean(text: str) -> str:
    """A text that others may have written, without passwords in URLs, keys and bearer tokens."""
    # Most texts of a log line hold none of these: looking first is many times cheaper than the expressions.
    if text.isalnum():
        return text
    if ":" not in text and "=" not in text and " " not in text:
        return text
    if "://" in text and "@" in text:
        text = re.sub(r"\S+", _without_userinfo, text)
    if "=" in text or ":" in text:
        text = _ASSIGNED.sub(rf"\1\2{REMOVED}", text)
    if " " in text and ("bearer " in (lowered := text.lower()) or "basic " in lowered):
        text = _SCHEMES.sub(rf"\1 {REMOVED}", text)
    return text


def _without_userinfo(word: re.Match[str]) -> str:
    """A word whose URLs say nothing between `://` and the last `@`: passwords may themselves hold an `@` or `/`."""
    scheme, separator, rest = word[0].partition("://")
    return f"{scheme}{separator}{REMOVED}{rest[rest.rindex('@') :]}" if "@" in rest else word[0]
