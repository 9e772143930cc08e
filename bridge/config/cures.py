"""What to write instead of a setting that cannot be: the cure beside a complaint of `check` about a value."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from connectors.table import CONNECTORS
from hub.spelling import flag_meant
from rules.node import Node
from rules.units import nearest_duration

_FORMS: Mapping[str, str] = {
    "path": "expected a path of letters, digits and . _ ~ - behind each /, such as /in/orders",
    "username": "expected a name without a colon",
    "namespace": "expected a host name, such as acme.servicebus.windows.net",
}
"""What a text has to look like, by its key, where the settings give a regular expression."""


def form_of(key: str) -> str | None:
    """In words what the text at a key has to look like; None for a key that is not known here."""
    return _FORMS.get(key)


def path_cure(text: str) -> str:
    """A path of an HTTP source as it was likely meant; empty if it cannot be known."""
    bare = re.sub(r"^https?://[^/]*", "", text.strip())
    meant = "/" + re.sub(r"/+", "/", bare).strip("/")
    if meant == text or not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", meant):
        return ""
    return f"it begins with /: write {meant}" if not text.startswith("/") else f"write {meant}"


def duration_cure(text: str) -> str:
    """A duration of another spelling in ours."""
    nearest = nearest_duration(text)
    return f"write {nearest}" if nearest else ""


def size_cure(text: str) -> str:
    """A size of another spelling in ours: `10 mb`, `10M`, `1 mebibyte`."""
    found = re.fullmatch(r"\s*(\d[\d_]*)\s*([kmg]?)(i?)(?:b|bytes?|ibibytes?|ebibytes?)?\s*", text, re.IGNORECASE)
    if found is None:
        return ""
    number, unit, binary = found[1].replace("_", ""), found[2].upper(), "i" if found[3] else ""
    return f"write {number}{unit}{binary}B"


def flag_cure(text: str) -> str:
    """A boolean as YAML 1.1 had it."""
    text = text.casefold()
    found = text if text in ("true", "false") else flag_meant(text)
    return f"write {found}" if found else ""


def keys_cure(node: Node, model: type[BaseModel]) -> str:
    """Where keys are expected: `{}` is all defaults, and a boolean is not needed to say so."""
    if node.value is True or node.text.casefold() in ("yes", "on"):
        needed = [name for name, field in model.model_fields.items() if field.is_required()]
        return f"write {{ {needed[0]}: … }}" if needed else "write {} for its defaults"
    if node.value is False or node.text.casefold() in ("no", "off"):
        return "leave the key out"
    if isinstance(node.value, str) and node.text:
        key = _ALONE.get(node.key.rpartition(".")[2], "")
        return f"write {{ {key}: … }}" if key in model.model_fields else ""
    return "write its keys without -" if isinstance(node.value, list) else ""


_ALONE: Mapping[str, str] = {
    "queue": "name",
    "subscription": "name",
    "auth": "bearer",
    "basic": "username",
    "connection": "connection_string",
    **{spelling: kind.main_setting for kind in CONNECTORS.values() for spelling in (kind.key, *kind.old_keys)},
    "decode": "format",
    "map": "id",
    "store": "url",
}
"""What a text alone is likely meant for, by the key under which others stand."""


def pattern_cure(message: str) -> str:
    """A named group as .NET, Java and JavaScript write it."""
    return "write a named group as (?P<name>…)" if "unknown extension ?<" in message else ""


def kind_cure(kind: str, node: Node) -> str:
    """Where a list is expected and an object, or a text of several words, stands."""
    match kind, node.value:
        case (("tuple_type" | "list_type" | "frozen_set_type"), dict()):
            return "write a list: [ { … } ]"
        case "frozen_set_type" | "tuple_type" | "list_type", str() if " " in node.text or "," in node.text:
            return f"write a list: [{', '.join(re.split(r'[,;]? +|,', node.written))}]"
    return ""


def section_cure(value: Any) -> str:
    """Where things stand by their names and a list of them was written."""
    return "write each by its name: NAME: { … }" if isinstance(value, list) and value else ""
