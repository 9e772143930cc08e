"""Phones of a hub: sign-in, subscriptions, sign-off. What is asked was read before (`asked.py`), and whose token it is.

A change is kept in the store first, then the engine gets it, then the store keeps that the engine has it. A process that
ends between them leaves a phone that is not `written`, and `writing.py` writes it later: a sign-off is always carried out.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import IntEnum
from typing import Final, Protocol, TypeVar

from hub.errors import CapacityError, InvalidRequestError, NotFoundError, PreconditionError, StoreError
from hub.limiting import CallerLimit
from hub.notification import Platform
from hub.people import person_key
from hub.phone import Phone, PhoneOutcome, SignIn, Topics
from hub.phone_report import PhoneReport, TakenReports
from hub.registration.engine import Engine
from hub.registration.errors import RefusedError, throttled
from hub.registration.locks import Locks
from hub.registration.offer import Offer, User, installation_of
from hub.registration.writing import digest_of, write
from hub.store.contracts.phones import Phones
from hub.topics import level_of, level_text

T = TypeVar("T")

_TRIES: Final = 5
"""How often a change is made again that another process overtook."""

_HAND_OVERS: Final = 3
_HAND_OVER_EVERY: Final = 3600.0
"""How many phones of other users a user may sign off by their push channel alone: at once, and seconds until one more."""

_RENEWED_AFTER: Final = 0.5
"""The part of a phone's time after which putting it again renews it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a phone says of itself. `topics` None: as they were. `registration_id` is the one it has, None for none.

    `replaces` is the registration id that the phone had last, whoever signed in with it; empty for none.
    """

    phone_id: str
    platform: Platform
    push_channel: str
    push_variables: Mapping[str, str] = field(default_factory=dict)
    topics: Topics | None = None
    registration_id: str | None = None
    replaces: str = ""


class _HandOver(IntEnum):
    """What a sign-in ends: that of no other user, of one whose phone this shows to be, of one whose phone it may be."""

    NONE = 0
    SHOWN = 1
    UNSHOWN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A phone as it is now, and what its user subscribed to on it."""

    phone: Phone
    topics: Topics
    outcome: PhoneOutcome = PhoneOutcome.DONE


class TakesReports(Protocol):
    """What takes the reports of a hub's installations."""

    async def report(self, hub: str, installation_id: str, reports: Sequence[PhoneReport]) -> TakenReports:
        """Raises: NotFoundError: there is no such installation; CapacityError: the phone reports too often."""


class PhoneService:
    """The phones of one hub, whose reports on pushes go to `reporting`. `now` is the store's time, in seconds since 1970.

    Every method may raise StoreError.
    """

    def __init__(
        self,
        hub: str,
        offer: Offer,
        store: Phones,
        engine: Engine,
        *,
        reporting: TakesReports,
        now: Callable[[], float],
    ) -> None:
        self.hub = hub
        self.offer = offer
        self.engine = engine
        self._store = store
        self._reporting = reporting
        self._now = now
        self._locks = Locks()
        self._hand_overs = CallerLimit(burst=_HAND_OVERS, seconds=_HAND_OVER_EVERY, clock=now)

    async def register(self, user: User, asked: Asked) -> Answer:
        """Sign a user in on a phone, or put what a signed-in phone says of itself.

        A user who was signed in on the phone before is signed off, where something shows that it is the same phone.
        Raises: RefusedError, InvalidRequestError.
        """
        async with self._locks.held(asked.phone_id):
            return await self._tried(lambda: self._register(user, asked))

    async def _register(self, user: User, asked: Asked) -> Answer:
        old = await self._store.phone(self.hub, asked.phone_id)
        is_back = old is not None and self._is_of(old, user) and old.expires_at > self._now()
        if asked.registration_id is not None and not (is_back and old and old.registration_id == asked.registration_id):
            raise gone()
        kept = await self._store.subscriptions(self.hub, user.id, asked.phone_id)
        topics = (kept or {}) if asked.topics is None else self._checked(asked.topics)
        handed_over = await self._check_hand_over(user, asked, old)
        if not is_back:
            await self._check_count(user, asked)
        phone = self._phone(user, asked, old, is_back=is_back)
        if is_back and topics == kept and old is not None and await self._is_unchanged(old, phone, topics):
            return Answer(phone=old, topics=topics, outcome=PhoneOutcome.UNCHANGED)
        self._checked_digest(phone, topics)
        phone = await self._store.put_phone(self.hub, phone, topics=topics)
        await self._sign_others_off(phone)
        if handed_over is _HandOver.UNSHOWN:
            self._hand_overs.count(user.id)
        outcome = PhoneOutcome.DONE if handed_over is _HandOver.NONE else PhoneOutcome.TOOK_OVER
        return await self._written(user, phone, topics, outcome)

    async def subscribe(self, user: User, registration_id: str, topic: str, level: str) -> Answer:
        """Switch a topic on. Raises: RefusedError."""
        return await self._change_topics(user, registration_id, lambda topics: {**topics, topic: level}, {topic: level})

    async def unsubscribe(self, user: User, registration_id: str, topic: str) -> Answer:
        """Switch a topic off; one that is off already stays so. Raises: RefusedError."""
        return await self._change_topics(
            user, registration_id, lambda topics: {name: level for name, level in topics.items() if name != topic}, {}
        )

    async def show(self, user: User, registration_id: str) -> Answer:
        """What the user has on a phone. Raises: RefusedError."""
        phone = await self._registered(user, registration_id)
        topics = await self._store.subscriptions(self.hub, user.id, phone.id)
        return Answer(phone=phone, topics=topics or {})

    async def report(self, user: User, registration_id: str, reports: Sequence[PhoneReport]) -> TakenReports:
        """Keep what a phone says of its pushes. Raises: RefusedError; InvalidRequestError: they are not known here."""
        phone = await self._registered(user, registration_id)
        try:
            return await self._reporting.report(self.hub, phone.installation_id, reports)
        except NotFoundError as error:
            raise InvalidRequestError(
                "The hub does not keep this phone here: put it again at the app's start"
            ) from error
        except CapacityError as error:
            raise throttled(str(error), error.retry_after) from error

    async def phones_of(self, user: User) -> Sequence[Answer]:
        """The phones with which the user is signed in."""
        now = self._now()
        return [
            Answer(phone=each, topics=await self._store.subscriptions(self.hub, user.id, each.id) or {})
            for each in await self._store.phones_of(self.hub, user.id)
            if each.expires_at > now
        ]

    async def sign_off(self, user: User, registration_id: str) -> bool:
        """Whether the user was signed in under this id; one that signs off again changes nothing. Raises: RefusedError."""
        phone = await self._store.phone_registered(self.hub, registration_id)
        if phone is None or phone.sign_in is None:
            return False
        async with self._locks.held(phone.id):
            return await self._tried(lambda: self._sign_off(user, registration_id))

    async def _sign_off(self, user: User, registration_id: str) -> bool:
        phone = await self._store.phone_registered(self.hub, registration_id)
        if phone is None or phone.sign_in is None:
            return False
        if not self._is_of(phone, user):
            raise another_phone()
        await self._write(await self._store.put_phone(self.hub, replace(phone, sign_in=None)), {})
        return True

    async def _change_topics(
        self, user: User, registration_id: str, change: Callable[[Topics], Topics], added: Topics
    ) -> Answer:
        self._checked(added)
        phone = await self._registered(user, registration_id)
        async with self._locks.held(phone.id):
            return await self._tried(lambda: self._put_topics(user, registration_id, change))

    async def _put_topics(self, user: User, registration_id: str, change: Callable[[Topics], Topics]) -> Answer:
        phone = await self._registered(user, registration_id)
        before = await self._store.subscriptions(self.hub, user.id, phone.id) or {}
        topics = change(before)
        if topics == before and phone.written:
            return Answer(phone=phone, topics=topics, outcome=PhoneOutcome.UNCHANGED)
        self._checked_digest(phone, topics)
        phone = await self._store.put_phone(self.hub, phone, topics=topics)
        return await self._written(user, phone, topics, PhoneOutcome.DONE)

    # Parts

    async def _registered(self, user: User, registration_id: str) -> Phone:
        """The phone whose registration id this is now. Raises: RefusedError."""
        phone = await self._store.phone_registered(self.hub, registration_id)
        if phone is None or phone.sign_in is None or phone.expires_at <= self._now():
            raise gone()
        if not self._is_of(phone, user):
            raise another_phone()
        return phone

    def _is_of(self, phone: Phone, user: User) -> bool:
        return phone.sign_in is not None and person_key(phone.sign_in.user_id) == person_key(user.id)

    def _phone(self, user: User, asked: Asked, old: Phone | None, *, is_back: bool) -> Phone:
        sign_in = SignIn(
            user_id=user.id,
            platform=asked.platform,
            push_channel=asked.push_channel,
            tags=user.tags,
            push_variables=_variables(asked.push_variables, user.push_variables),
        )
        return Phone(
            id=asked.phone_id,
            registration_id=old.registration_id if is_back and old is not None else secrets.token_urlsafe(24),
            installation_id=f"phone:{asked.phone_id}" if old is None else old.installation_id,
            sign_in=sign_in,
            changed_at=0.0,
            expires_at=self._now() + self.offer.ttl,
            etag=0 if old is None else old.etag,
        )

    def _checked(self, topics: Topics) -> Topics:
        """With levels as tags spell them. Raises: RefusedError: a topic, or a level of it, that is not offered."""
        return {name: self._level(name, level) for name, level in topics.items()}

    def _level(self, topic: str, text: str) -> str:
        levels = self.offer.topics.get(topic)
        if levels is None:
            raise RefusedError(PhoneOutcome.UNKNOWN_TOPIC, f"There is no topic {topic[:64]!r}")
        level: Decimal | None = level_of(text) if text else None
        if levels and level not in levels:
            offered = ", ".join(map(level_text, levels))
            raise RefusedError(PhoneOutcome.UNKNOWN_TOPIC, f"The topic {topic!r} has the levels {offered}: name one")
        if not levels and text:
            raise RefusedError(PhoneOutcome.UNKNOWN_TOPIC, f"The topic {topic!r} has no levels")
        return "" if level is None else level_text(level)

    async def _check_hand_over(self, user: User, asked: Asked, old: Phone | None) -> "_HandOver":
        """Whether the sign-in ends that of another user, and whether the caller has shown that it is the same phone.

        Who has learnt a phone's id alone is refused: the phone has its push channel too, or the registration id that it
        got. A push channel under a new id is what an app has that was installed again, and that app has nothing else to
        show: it is believed, a few times for each user. Raises: RefusedError.
        """
        found = _HandOver.NONE
        if old is not None and self._is_of_another(old, user):
            if not _has_channel(old, asked) and asked.replaces != old.registration_id:
                raise RefusedError(
                    PhoneOutcome.FORBIDDEN_PHONE,
                    "Another user is signed in with this phone id. Name the registration id that this phone had last in"
                    " 'replaces', or make a new phone id",
                )
            found = _HandOver.SHOWN
        if old is not None and _has_channel(old, asked):
            return found  # it was its channel already
        for other in await self._store.phones_with(self.hub, asked.platform, asked.push_channel):
            if other.id == asked.phone_id or not self._is_of_another(other, user):
                continue
            if asked.replaces == other.registration_id:
                found = max(found, _HandOver.SHOWN)
                continue
            found = _HandOver.UNSHOWN
            if wait := self._hand_overs.wait_for(user.id):
                raise throttled("Too many phones of other users were signed off: come again later", wait)
        return found

    def _is_of_another(self, phone: Phone, user: User) -> bool:
        """Whether another user is signed in on the phone, whose time is not over."""
        return phone.sign_in is not None and phone.expires_at > self._now() and not self._is_of(phone, user)

    async def _check_count(self, user: User, asked: Asked) -> None:
        """Phones that this sign-in replaces are not counted. Raises: RefusedError."""
        now = self._now()
        others = [
            each
            for each in await self._store.phones_of(self.hub, user.id)
            if each.expires_at > now and each.id != asked.phone_id and not _has_channel(each, asked)
        ]
        if len(others) >= self.offer.max_phones:
            raise RefusedError(
                PhoneOutcome.TOO_MANY_PHONES,
                f"A user is signed in on up to {self.offer.max_phones} phones: sign another one off",
            )

    def _checked_digest(self, phone: Phone, topics: Topics) -> str:
        """Of what the engine is to have, which is checked before any of it is kept. Raises: InvalidRequestError."""
        assert phone.sign_in is not None
        return digest_of(installation_of(self.offer, phone.installation_id, phone.sign_in, topics))

    async def _is_unchanged(self, old: Phone, new: Phone, topics: Topics) -> bool:
        if old.sign_in != new.sign_in or old.expires_at - self._now() < _RENEWED_AFTER * self.offer.ttl:
            return False
        assert old.sign_in is not None
        installation = installation_of(self.offer, old.installation_id, old.sign_in, topics)
        return old.written == digest_of(installation) and await self.engine.has(installation)

    async def _sign_others_off(self, phone: Phone) -> None:
        """Of other phones with this push channel: an app that was installed again has made another id for the same one."""
        assert phone.sign_in is not None
        same = await self._store.phones_with(self.hub, phone.sign_in.platform, phone.sign_in.push_channel)
        older = [other for other in same if other.id != phone.id and other.changed_at <= phone.changed_at]
        # All are kept as signed off before the engine hears of one: it may be away. Of two that sign in at once with
        # one push channel each sees the other; the later one stays.
        off = [await self._store.put_phone(self.hub, replace(other, sign_in=None)) for other in older]
        for other in off:
            await self._write(other, {})

    async def _written(self, user: User, phone: Phone, topics: Topics, outcome: PhoneOutcome) -> Answer:
        """The phone as the engine has it then. Raises: RefusedError: another process signed its user off meanwhile."""
        written = await self._write(phone, topics)
        if not self._is_of(written, user):
            raise gone()
        if written.etag != phone.etag:
            topics = await self._store.subscriptions(self.hub, user.id, phone.id) or {}
        return Answer(phone=written, topics=topics, outcome=outcome)

    async def _write(self, phone: Phone, topics: Topics) -> Phone:
        return await write(self.hub, phone, topics, offer=self.offer, store=self._store, engine=self.engine)

    async def _tried(self, change: Callable[[], Awaitable[T]]) -> T:
        """Again where another process came between. Raises: StoreError: others change it without end."""
        for _ in range(_TRIES):
            try:
                return await change()
            except PreconditionError:
                continue
        raise StoreError("the phone is changed by others at the same time")


def _has_channel(phone: Phone, asked: Asked) -> bool:
    sign_in = phone.sign_in
    return sign_in is not None and (sign_in.platform, sign_in.push_channel) == (asked.platform, asked.push_channel)


def _variables(asked: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """A phone's and those of the token's claims, which a phone cannot replace: templates name them without case."""
    names = {name.lower() for name in own}
    return {**{name: value for name, value in asked.items() if name.lower() not in names}, **own}


def gone() -> RefusedError:
    return RefusedError(
        PhoneOutcome.GONE, "This registration id is not in force any more: register, and you get a new one"
    )


def another_phone() -> RefusedError:
    return RefusedError(PhoneOutcome.FORBIDDEN_PHONE, "This registration is another user's")
