"""What puts and drops make of the devices that are known, as tables: no database."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hub.errors import HubError, InvalidRequestError, NotFoundError, PreconditionError
from hub.installation import Installation, Registration, Template
from hub.notification import Platform
from hub.store.decide.changes import Changes
from hub.store.decide.device import StoredDevice, template_id
from hub.store.decide.registering import MOVED, Registering
from hub.store.decide.tag_index import DEAD, MARK, WORD_BITS, TagId, kind_id, tag_id
from tests.hub.examples import GREETING, installation

NOW = 1000.0
FCM = Platform.FCM
NATIVE, TEMPLATED, SIBLING = (kind_id(kind, FCM) for kind in ("native", "template", "sibling"))

Step = Callable[[Registering], object]


def played(*steps: Step, known: Iterable[StoredDevice] = (), free: Iterable[int] = range(100, 200)) -> Changes:
    registering = Registering(known, ordinals=iter(free), now=NOW)
    for step in steps:
        step(registering)
    return registering.changes()


def put(given: Installation) -> Step:
    return lambda registering: registering.put_installation(given)


def put_alone(given: Registration, if_match: int | None = None) -> Step:
    return lambda registering: registering.put_registration(given, given.registration_id, if_match)


def drop(installation_id: str) -> Step:
    return lambda registering: registering.drop_installation(installation_id)


def stored(given: Installation, ordinal: int = 1) -> StoredDevice:
    (device,) = played(put(given), free=range(ordinal, ordinal + 10)).put
    return device


def index(changes: Changes) -> tuple[dict[TagId, set[int]], dict[TagId, set[int]]]:
    """(gained, lost): ordinals by tag, those of what is dropped too."""
    gained: dict[TagId, set[int]] = {}
    lost: dict[TagId, set[int]] = {}
    dropped = [(tag, number, 0, mask) for number, of_word in changes.tags.gone.items() for tag, mask in of_word.items()]
    for tag, number, *masks in changes.tags.rows() + dropped:
        for into, mask in zip((gained, lost), masks, strict=True):
            if mask and number != MARK:
                bits = {bit for bit in range(1 << WORD_BITS) if mask >> bit & 1}
                into.setdefault(tag, set()).update((number << WORD_BITS) + bit for bit in bits)
    return gained, lost


def single(registration_id: str = "r", channel: str = "c", template: Template | None = None) -> Registration:
    return Registration(
        registration_id=registration_id,
        platform=FCM,
        push_channel=channel,
        tags=("news",),
        template_name=None if template is None else "greeting",
        template=template,
    )


class TestPut:
    def test_a_new_document_takes_an_ordinal_for_each_registration(self) -> None:
        changes = played(put(installation("a", "news")))
        (device,) = changes.put
        assert (device.ordinal, device.etag, device.registered_at) == (100, 1, NOW)
        assert changes.registrations == [(100, 100, None), (101, 100, template_id(GREETING))]
        gained, lost = index(changes)
        assert gained == {
            tag_id("news"): {100, 101},
            tag_id("greeting"): {101},
            NATIVE: {100},
            TEMPLATED: {101},
        }
        assert lost == {}

    @pytest.mark.parametrize(
        ("document", "registrations", "freed", "gained", "lost"),
        [
            (installation("a", "news"), [], [], {}, {}),
            (installation("a", "chess"), [], [], {tag_id("chess"): {1, 2}}, {tag_id("news"): {1, 2}}),
            (
                installation("a", "news", templates=False),
                [],
                [2],
                {},
                {each: {2} for each in map(tag_id, ("news", "greeting"))} | {TEMPLATED: {2}},
            ),
            (
                replace(installation("a", "news"), templates={"greeting": Template(body="{}")}),
                [(2, 1, template_id(Template(body="{}")))],
                [],
                {},
                {},
            ),
            (
                replace(installation("a", "news"), user_id="ann"),
                [],
                [],
                {tag_id("$UserId:{ann}"): {1, 2}},
                {},
            ),
        ],
        ids=["the same", "another tag", "without its template", "another text of its template", "a user"],
    )
    def test_a_document_that_is_replaced_changes_what_differs(
        self,
        document: Installation,
        registrations: Sequence[tuple[int, int, int | None]],
        freed: Sequence[int],
        gained: dict[TagId, set[int]],
        lost: dict[TagId, set[int]],
    ) -> None:
        changes = played(put(document), known=[stored(installation("a", "news"))], free=())
        assert [(device.ordinal, device.etag) for device in changes.put] == [(1, 2)]
        assert (changes.registrations, changes.freed) == (registrations, freed)
        assert index(changes) == (gained, lost)

    def test_a_document_that_is_put_again_brings_a_dead_one_back(self) -> None:
        dead = replace(stored(installation("a")), dead_at=5.0, dead_reason="Unregistered")
        changes = played(put(installation("a")), known=[dead])
        assert changes.put[0].dead_at is None
        assert index(changes) == ({}, {DEAD: {1, 2}})

    def test_an_id_that_differs_in_case_only_is_refused_and_changes_nothing(self) -> None:
        registering = Registering([stored(installation("a"))], ordinals=iter(range(5, 9)), now=NOW)
        with pytest.raises(InvalidRequestError, match="in case only"):
            registering.put_installation(installation("A"))
        changes = registering.changes()
        assert (changes.put, changes.tags.rows()) == ([], [])

    def test_documents_of_one_push_channel_are_flagged_once_there_are_two(self) -> None:
        changes = played(
            put(installation("b", push_channel="same")), known=[stored(installation("a", push_channel="same"))]
        )
        assert [(device.installation_id, device.sibling) for device in changes.put] == [("b", True), ("a", True)]
        assert index(changes)[0][SIBLING] == {1, 100}

    @pytest.mark.parametrize(("before", "after", "moved"), [("ann", "bob", True), ("ann", "ann", False)])
    def test_a_push_channel_is_of_the_user_that_registered_it_last(self, before: str, after: str, moved: bool) -> None:
        old = replace(installation("a", push_channel="same"), user_id=before)
        new = replace(installation("b", push_channel="same"), user_id=after)
        changes = played(put(new), known=[stored(old)])
        reasons = {device.installation_id: device.dead_reason for device in changes.put}
        assert reasons == {"b": None, "a": MOVED if moved else None}
        assert index(changes)[0].get(DEAD, set()) == ({1, 2} if moved else set())


class TestAlone:
    @pytest.mark.parametrize(("template", "kind"), [(None, NATIVE), (GREETING, TEMPLATED)])
    def test_a_single_registration_is_one_of_its_kind(self, template: Template | None, kind: TagId) -> None:
        changes = played(put_alone(single(template=template)))
        assert changes.registrations == [(100, 100, None if template is None else template_id(template))]
        assert index(changes) == ({tag_id("news"): {100}, kind: {100}}, {})

    @pytest.mark.parametrize(
        ("steps", "if_match", "error"),
        [
            ([], 1, NotFoundError),
            ([put_alone(single())], 2, PreconditionError),
            ([put_alone(single()), put_alone(single())], 1, PreconditionError),
        ],
        ids=["there is none", "not written so often", "written since"],
    )
    def test_an_etag_that_does_not_match_refuses_a_write_and_changes_nothing(
        self, steps: Sequence[Step], if_match: int, error: type[HubError]
    ) -> None:
        registering = Registering((), ordinals=iter(range(1, 9)), now=NOW)
        for step in steps:
            step(registering)
        before = registering.changes()
        with pytest.raises(error):
            registering.put_registration(single(channel="other"), "r", if_match)
        with pytest.raises(error):
            registering.drop_registration("r", if_match)
        after = registering.changes()
        assert (after.put, after.dropped, after.tags.rows()) == (before.put, before.dropped, before.tags.rows())

    def test_an_etag_grows_with_each_write(self) -> None:
        registering = Registering((), ordinals=iter([1]), now=NOW)
        expires_at = datetime.fromtimestamp(NOW + 60, UTC)
        etags = [
            registering.put_registration(replace(single(), expires_at=expires_at), "r", if_match).etag
            for if_match in (None, 1, None)
        ]
        assert etags == [1, 2, 3]
        assert [(device.etag, device.expires_at) for device in registering.changes().put] == [(3, NOW + 60)]


class TestDrop:
    def test_what_is_dropped_frees_its_ordinals_and_leaves_the_index(self) -> None:
        known = stored(installation("a", "news"))
        changes = played(drop("a"), known=[known])
        assert (changes.put, changes.dropped, changes.freed) == ([], [known], [1, 2])
        gained, lost = index(changes)
        assert (gained, lost[tag_id("news")], lost[NATIVE], lost[TEMPLATED]) == ({}, {1, 2}, {1}, {2})

    def test_what_is_put_again_after_that_is_new(self) -> None:
        changes = played(drop("a"), put(installation("a", "news")), known=[stored(installation("a", "news"))])
        assert [device.ordinal for device in changes.dropped] == [1]
        assert [(device.ordinal, device.etag) for device in changes.put] == [(100, 1)]
        gained, lost = index(changes)
        assert (gained[tag_id("news")], lost[tag_id("news")]) == ({100, 101}, {1, 2})

    def test_what_was_never_written_comes_to_nothing(self) -> None:
        changes = played(put(installation("a")), drop("a"), drop("b"))
        assert (changes.put, changes.dropped, changes.registrations, changes.freed) == ([], [], [], [])
        assert changes.tags.rows() == []
