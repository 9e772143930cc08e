"""What a phone's screen makes of a payload, as each platform does it (pure)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lxml import etree

from sandbox.journal import Entry

_LIVE_ACTIVITY = "liveactivity"
_OF_A_START = ("attributes-type", "attributes", "alert")
"""What iOS starts no Live Activity without, beside its state."""

# The default of ToastText01 is one wrapped text in the body; all other toasts begin with a title.
TITLELESS_TOAST = "toasttext01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What came of one push on one phone; `raw` is the payload. It is on the screen unless `hidden` says why not.

    `wakes` the app: it is a silent push, by the rules of its platform.

    `replaces` is what the platform knows a notification by: a later one with the same replaces it on the screen. Empty
    replaces nothing. `timestamp` is that of a Live Activity, in seconds: an older state does not replace a newer one.
    """

    push_id: str
    at: datetime
    raw: bytes
    replaces: tuple[str, ...] = ()
    timestamp: float = 0.0
    title: str = ""
    subtitle: str = ""
    body: str = ""
    hidden: str = ""
    wakes: bool = False


def shown(entry: Entry) -> Shown:
    """What the phone shows of a push that its service accepted."""
    texts, hidden, wakes = _Texts(), "", False
    try:
        texts = _texts(entry)
    except _HiddenError as reason:
        hidden, wakes = str(reason), isinstance(reason, _SilentError)
    return Shown(
        push_id=entry.push_id,
        at=entry.at,
        raw=entry.payload,
        replaces=_identity(entry),
        timestamp=texts.timestamp,
        title=texts.title,
        subtitle=texts.subtitle,
        body=texts.body,
        hidden=hidden,
        wakes=wakes,
    )


def on_screen(received: Iterable[Shown]) -> list[Shown]:
    """What a person sees after all these came, oldest first; a notification that replaces another is the newest."""
    screen: dict[object, Shown] = {}
    for number, one in enumerate(received):
        if not one.hidden:
            identity = one.replaces or number
            before = screen.get(identity)
            if before is not None and one.timestamp < before.timestamp:
                continue
            screen.pop(identity, None)
            screen[identity] = one
    return list(screen.values())


def _identity(entry: Entry) -> tuple[str, ...]:
    """What a notification is replaced by: the collapse id (Apple), the tag (Android, browsers), tag and group (Windows)."""
    found: tuple[str, ...]
    match entry.service:
        case "apns":
            kind = entry.headers.get("apns-push-type", "")
            # An activity has a token of its own, and shows its newest state.
            found = (kind if kind == _LIVE_ACTIVITY else entry.headers.get("apns-collapse-id", ""),)
        case "fcmv1":
            found = (_android_tag(entry.payload),)
        case "browser":
            found = (str(_notification(entry.payload).get("tag") or ""),)
        case "huawei":
            found = (_android_tag(entry.payload),)
        case "xiaomi":
            fields = _json_or_none(entry.payload)
            found = (str(fields.get("notify_id", "")) if isinstance(fields, dict) else "",)
        case "adm" | "baidu" | "mpns":
            found = ("",)
        case _:
            found = (entry.headers.get("x-wns-tag", ""), entry.headers.get("x-wns-group", ""))
    return found if found[0] else ()


def _json_or_none(payload: bytes) -> Any:
    try:
        return _json(payload)
    except _HiddenError:
        return None


def _android_tag(payload: bytes) -> str:
    try:
        android = _mapping(_mapping(_json(payload), "message"), "android")
        return str(_mapping(android, "notification").get("tag") or "")
    except _HiddenError:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    title: str = ""
    subtitle: str = ""
    body: str = ""
    timestamp: float = 0.0


class _HiddenError(Exception):
    """Why nothing is seen."""


class _SilentError(_HiddenError):
    """Nothing is seen, for the push is for the app alone."""


def _texts(entry: Entry) -> _Texts:
    match entry.service:
        case "apns":
            return _apple(entry.payload, entry.headers)
        case "fcmv1":
            return _android(entry.payload)
        case "browser":
            return _browser(entry.payload)
        case "adm":
            raise _SilentError("silent: the app shows what it likes of data")
        case "xiaomi" | "baidu":
            return _chinese(entry.payload, entry.service)
        case "huawei":
            return _android(entry.payload)
        case "mpns":
            return _windows_phone(entry.payload)
        case _:
            return _windows(entry.payload, entry.headers)


def _chinese(payload: bytes, service: str) -> _Texts:
    """What phones of Xiaomi's show, and what Baidu's library does: title and description."""
    document = _json(payload)
    fields = document if isinstance(document, dict) else {}
    title, body = fields.get("title"), fields.get("description")
    if (service == "xiaomi" and str(fields.get("pass_through", "0")) == "1") or not title:
        raise _SilentError("silent: a message for the app")
    return _Texts(title=str(title), body=str(body or ""))


def _windows_phone(payload: bytes) -> _Texts:
    root = _xml(payload)
    texts = {etree.QName(each).localname: each.text or "" for each in root.iter() if isinstance(each.tag, str)}
    if "Toast" not in texts:
        raise _HiddenError("no toast")
    return _Texts(title=texts.get("Text1", ""), body=texts.get("Text2", ""))


def _live_activity(aps: Mapping[str, Any]) -> _Texts:
    """The state of an activity, without the app's own view of it; one that has ended stays for hours, as it was last."""
    state = aps.get("content-state")
    timestamp = aps.get("timestamp")
    if aps.get("event") not in ("start", "update", "end") or not isinstance(state, dict):
        raise _HiddenError("no Live Activity")
    if not isinstance(timestamp, int | float):
        raise _HiddenError("no Live Activity: it has no timestamp")
    if aps["event"] == "start" and (missing := [name for name in _OF_A_START if not aps.get(name)]):
        raise _HiddenError(f"no Live Activity: a start needs {', '.join(missing)}")
    body = ", ".join(f"{name}: {value}" for name, value in state.items())
    return _Texts(title="Live Activity", body=body, timestamp=timestamp)


def _apple(payload: bytes, headers: Mapping[str, str]) -> _Texts:
    aps = _mapping(_json(payload), "aps")
    if headers.get("apns-push-type") == _LIVE_ACTIVITY:
        return _live_activity(aps)
    alert = aps.get("alert")
    match alert:
        case str() if alert:
            return _Texts(body=alert)
        case dict():
            # a key that the app has no text for is shown as it is
            title = alert.get("title") or alert.get("title-loc-key") or ""
            body = alert.get("body") or alert.get("loc-key") or ""
            subtitle = alert.get("subtitle") or ""
            if any((title, subtitle, body)) and all(isinstance(text, str) for text in (title, subtitle, body)):
                return _Texts(title=title, subtitle=subtitle, body=body)
            raise _HiddenError("the alert has no text")
        case _ if aps.get("content-available") == 1 and headers.get("apns-push-type") == "background":
            raise _SilentError("silent: no alert")  # of another push type iOS does not wake the app
        case _:
            raise _HiddenError("silent: no alert")


def _android(payload: bytes) -> _Texts:
    message = _mapping(_json(payload), "message")
    for_android = message["android"].get("notification") if isinstance(message.get("android"), dict) else None
    notification = {**(message.get("notification") or {}), **(for_android or {})}
    if not notification:
        raise _SilentError("silent: data only")
    return _Texts(title=notification.get("title") or "", body=notification.get("body") or "")


def _browser(payload: bytes) -> _Texts:
    """A declarative message as a browser shows it, another one as the service worker of most sites does."""
    notification = _notification(payload)
    title, body = notification.get("title"), notification.get("body") or ""
    if not isinstance(title, str) or not title:
        raise _SilentError("silent: no title")
    return _Texts(title=title, body=body if isinstance(body, str) else "")


def _notification(payload: bytes) -> dict[str, Any]:
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    inner = document.get("notification")
    return {**document, **inner} if isinstance(inner, dict) else document


def _windows(payload: bytes, headers: Mapping[str, str]) -> _Texts:
    kind = headers.get("x-wns-type", "").lower()
    if kind != "wns/toast":
        reason = _SilentError if kind == "wns/raw" else _HiddenError
        raise reason(f"{kind} is no toast")
    root = _xml(payload)
    binding = root.find("visual/binding") if root.tag == "toast" else None
    texts = [] if binding is None else ["".join(map(str, text.itertext())) for text in binding.findall("text")]
    if binding is None or not any(texts):
        raise _HiddenError("the toast has no text")
    if binding.get("template", "").lower() == TITLELESS_TOAST:
        return _Texts(body="\n".join(texts))
    return _Texts(title=texts[0], body="\n".join(texts[1:]))


def _xml(payload: bytes) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(payload, parser)
    except etree.XMLSyntaxError as error:
        raise _HiddenError(f"malformed XML: {error}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise _HiddenError("malformed XML: a document type is not allowed")
    return root


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise _HiddenError(f"malformed JSON: {error}") from None


def _mapping(document: Any, name: str) -> dict[str, Any]:
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise _HiddenError(f"malformed JSON: there is no object {name!r}")
    return found
