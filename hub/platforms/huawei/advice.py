"""What Push Kit refuses (Huawei, HTTPS send API)."""

from collections.abc import Mapping

from hub.platforms.advice import Complaints, Written, check_size, json_size
from hub.platforms.huawei.body import FIELDS, MAX_MESSAGE, TARGETS
from hub.spelling import did_you_mean


def advise(payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    """See `Traits.advise`."""
    message = payload.value.get("message")
    if message is None:
        return  # complained of as it was compiled
    if not isinstance(message.value, dict):
        complaints.add(message, "expected an object", "write message: { notification: { title: … } }")
        return
    for name, entry in message.value.items():
        if name in TARGETS:
            complaints.add(
                entry, "cannot be given: the hub sends to the phones of the audience", "push.to names them",
                mark=entry.key_mark,
            )  # fmt: skip
        elif name not in FIELDS:
            hint = did_you_mean(name, FIELDS, all_if_few=False)
            complaints.add(entry, "Push Kit knows no such field and refuses the message", hint, mark=entry.key_mark)
    check_size(json_size(message), MAX_MESSAGE, message, complaints)
