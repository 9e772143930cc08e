"""What Mi Push refuses (Xiaomi, server SDK)."""

from collections.abc import Mapping

from hub.platforms.advice import Complaints, Written, check_size, has_placeholder, value_size
from hub.platforms.xiaomi.body import MAX_CONTENT, SHOWN, TARGETS


def advise(payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    """See `Traits.advise`."""
    entries: Mapping[str, Written] = payload.value
    for name in TARGETS:
        if name in entries:
            complaints.add(
                entries[name], "cannot be given: the hub sends to the phones of the audience", "push.to names them",
                mark=entries[name].key_mark,
            )  # fmt: skip
    flag = entries.get("pass_through")
    if flag is not None and has_placeholder(flag):
        return
    needed = ("payload",) if flag is not None and flag.value in (1, "1", True) else SHOWN
    for name in needed:
        if name not in entries:
            complaints.add(payload, f"{name} is missing, and Xiaomi refuses the message", f"write {name}: …")
    size = sum(value_size(entries[name]) for name in (*SHOWN, "payload") if name in entries)
    check_size(size, MAX_CONTENT, payload, complaints)
