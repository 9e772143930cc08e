"""What WNS refuses (Microsoft, "Push notification service request and response headers")."""

import re
from collections.abc import Mapping
from typing import Final

from hub.platforms.advice import Complaints, Written, check_size, said, without_placeholders
from hub.platforms.wns.hints import MAX_TAG
from hub.platforms.wns.payload import MAX_PAYLOAD, TYPES
from hub.spelling import did_you_mean

_TAG: Final = (f"[A-Za-z0-9]{{1,{MAX_TAG}}}", f"up to {MAX_TAG} letters and digits")
_VALUES: Mapping[str, tuple[str, str]] = {
    "x-wns-type": ("wns/(toast|tile|badge|raw)", "one of wns/toast, wns/tile, wns/badge, wns/raw"),
    "x-wns-cache-policy": ("cache|no-cache", "cache or no-cache"),
    "x-wns-requestforstatus": ("true|false", "true or false"),
    "x-wns-tag": _TAG,
    "x-wns-group": _TAG,
    "x-wns-ttl": (r"\d{1,10}", "seconds, as a whole number"),
    "x-wns-priority": ("[1-4]", "1 (high) to 4 (very low)"),
    "x-wns-suppresspopup": ("true|false", "true or false"),
}


def advise(payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    """See `Traits.advise`."""
    for name, node in headers.items():
        if not name.startswith("x-wns-") or "{{" in node.text:
            continue
        if name not in _VALUES:
            hint = did_you_mean(name, _VALUES, all_if_few=False)
            complaints.warn(node, "no header of a notification that WNS knows", hint, mark=node.key_mark)
            continue
        pattern, words = _VALUES[name]
        if not re.fullmatch(pattern, node.text, re.IGNORECASE | re.ASCII):
            cure = f"write wns/{node.text}" if name == "x-wns-type" and node.text in (*TYPES, "raw") else ""
            complaints.add(node, f"expected {words}", cure)
    _check_type(payload, headers, complaints)
    if isinstance(payload.value, str):
        check_size(len(without_placeholders(payload.value).encode()), MAX_PAYLOAD, payload, complaints)


def _check_type(payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    named = (said(headers, "x-wns-type") or "").lower().removeprefix("wns/")
    text = payload.value if isinstance(payload.value, str) else ""
    root = re.match(r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<([\w:-]+)", text, re.DOTALL)
    if named in TYPES and not _begins_with_placeholder(text) and (root is None or root[1] != named):
        found = f"<{root[1]}>" if root else "no XML"
        cure = (
            f"write X-WNS-Type: wns/{root[1]}" if root and root[1] in TYPES else f"begin with <{named}>, or say wns/raw"
        )
        complaints.add(headers["x-wns-type"], f"the payload is {found}, and WNS takes <{named}> for this type", cure)


def _begins_with_placeholder(text: str) -> bool:
    return text.lstrip().startswith("{{")
