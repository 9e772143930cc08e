"""A phone that a user signed in with: whose it is now, and what its user wants to hear of there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
