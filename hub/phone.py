"""A phone that a user signed in with: whose it is now, and what its user wants to hear of there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hub.explained import Explained
from hub.notification import Platform

Topics = Mapping[str, str]
"""What a user subscribed to on a phone: the level by topic, empty for a topic that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A user on a phone. `tags` come from the user's token; `push_channel` is canonical, as an installation's is."""

    user_id: str
    platform: Platform
    push_channel: str
    tags: tuple[str, ...] = ()
    push_variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A phone of a hub, by the `id` that its app made for it; `sign_in` None: its user has signed off.

    `registration_id` is what the phone shows, another one after each sign-in. `installation_id` names the phone in the
    engine. `written` is a digest of the installation that the engine has, empty while the engine may have another one.
    Times are in seconds since 1970; `etag` is another number after each change.
    """

    id: str
    registration_id: str
    installation_id: str
    sign_in: SignIn | None
    changed_at: float
    expires_at: float
    written: str = ""
    etag: int = 0


class PhoneOperation(Explained):
    """What a phone asks for."""

    REGISTER = "register", "Sign a user in on a phone; subscriptions of this user on this phone come back."
    UPDATE = "update", "Put a phone again: its push channel, language or variables."
    SHOW = "show", "List what the user has on a phone, or the topics that there are."
    SUBSCRIBE = "subscribe", "Switch a topic on, or choose another level."
    UNSUBSCRIBE = "unsubscribe", "Switch a topic off."
    REPORT = "report", "Say what became of pushes: received, opened, acted on."
    SIGN_OFF = "sign_off", "Sign the user off: no push reaches the phone any more."


class PhoneOutcome(Explained):
    """What became of a request of a phone."""

    DONE = "done", "It was done, and the engine has it."
    UNCHANGED = "unchanged", "All was so already: nothing was written."
    TOOK_OVER = "took_over", "It was done, and another user who was signed in on this phone was signed off."
    UNAUTHORIZED = "unauthorized", "No token, or one that is not good."
    FORBIDDEN_TAG = "forbidden_tag", "The phone asked for a tag or a user that its user's token does not give."
    FORBIDDEN_PHONE = (
        "forbidden_phone",
        "It is another user's phone or registration id, and nothing shows that the phone is the same.",
    )
    GONE = "gone", "The registration id has expired or was signed off: the phone registers and gets a new one."
    UNKNOWN_TOPIC = "unknown_topic", "There is no such topic, or not this level of it."
    TOO_MANY_PHONES = "too_many_phones", "The user is signed in on as many phones as may be."
    INVALID = "invalid", "The request is malformed."
    THROTTLED = "throttled", "Too many requests of this user, or from this address, were refused."
    UNAVAILABLE = (
        "unavailable",
        "The store, the engine or the provider's keys cannot be reached: the phone comes again.",
    )
