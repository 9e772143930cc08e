"""What has to become of the first events on every phone and at the broker, and how it differs from what did."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.demo.phones import DemoPhone
from sandbox.phones import VirtualPhone

Text = tuple[str, str]
"""Title and body."""

_WELCOME: Text = ("Welcome", "Employee 12345 has joined.")
_DEBIT: Text = ("Card debit CHF 720.55", "Alpine Sports, account ••••4711")
_APPROVAL: Text = ("Approval needed: Marketing", "Ben Frei asks for CHF 18500.00")

CHANCE = 33
"""The seed with which the HR system's random news is the following."""

NEWS: Mapping[str, Text] = {
    "3bb4a1da059d": ("HR", "Employee Id '84754' has joined."),
    "e158a6e04b64": ("HR", "Employee Id '46345' has left."),
    "faae2fbf4968": ("HR", "Employee Id '79818' has switched to a different team."),
}
"""By event: what has no other id is known by that of its message."""

EXPECTED: Mapping[str, Mapping[str, Text]] = {
    "anna-iphone": {**NEWS, "12345/joined": _WELCOME, "p-1001": _DEBIT},
    "ben-android": {**NEWS, "12345/joined": _WELCOME},
    "maria-android": {"BR-2041/Requested": _APPROVAL},
    "anna-pc": {**NEWS, "12345/joined": _WELCOME},
    "maria-pc": {"BR-2041/Requested": _APPROVAL},
    "ben-browser": {**NEWS, "12345/joined": _WELCOME},
}
"""By phone and event. What is not here must not be shown; the debit p-1002 is below its threshold and reaches no phone."""


def is_complete(devices: Sequence[tuple[DemoPhone, VirtualPhone]]) -> bool:
    """Whether every phone has received as many pushes as it should, or more."""
    return all(len(phone.received) >= len(EXPECTED[role.id]) for role, phone in devices)


def differences(devices: Sequence[tuple[DemoPhone, VirtualPhone]]) -> list[str]:
    """A sentence for everything that a phone got and should not have, or should have got and did not."""
    found = []
    for role, phone in devices:
        expected = Counter(EXPECTED[role.id].values())
        got = Counter((shown.title, shown.body) for shown in phone.screen)
        found += [f"{role.name} did not get {_quoted(text)}" for text in (expected - got).elements()]
        found += [f"{role.name} got {_quoted(text)}, which was not for it" for text in (got - expected).elements()]
        found += [
            f"{role.name} got a push that it shows nothing of: {one.hidden}" for one in phone.received if one.hidden
        ]
    return found


def uncompleted(subscription: Mapping[str, Any]) -> list[str]:
    """A sentence if not every piece of news was completed at the broker, once: what is not comes again."""
    path, completed, waiting = subscription["path"], subscription["completed"], subscription["waiting"]
    if (completed, waiting) == (len(NEWS), 0):
        return []
    return [f"{completed} of {len(NEWS)} messages of {path} were completed, and {waiting} wait"]


def _quoted(text: Text) -> str:
    return f'"{text[0]}: {text[1]}"'
