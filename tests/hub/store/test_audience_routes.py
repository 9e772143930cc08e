"""Both ways to find an audience, by candidates and by bitmaps, mean what the expression says."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.installation import Installation
from hub.notification import EVERYONE, Audience, Content, Everyone, NativeContent, Platform, TemplateContent
from hub.registry.documents import registrations_of
from hub.store import finding
from hub.store import first_registry as registry
from hub.store.audience import driving_tags
from hub.store.schema import migrate
from hub.store.tag_index import IndexShape
from hub.tags import And, Not, Or, Tag, TagExpression, matches, tag_key
from tests.hub.examples import HUB, installation, notification

NOW = 1000.0
TAGS = ("a", "b", "C", "d", "Größe")
NAMES = tuple(f"p{number}" for number in range(8))


@dataclass(frozen=True)
class Put:
    installations: Sequence[Installation]


@dataclass(frozen=True)
class Delete:
    name: str


@dataclass(frozen=True)
class Die:
    """The push channel of this phone turns out to be dead."""

    name: str


tag_names = st.sampled_from([*TAGS, "nobody", *(f"$InstallationId:{{{name}}}" for name in NAMES[:2])])
expressions: st.SearchStrategy[TagExpression] = st.recursive(
    tag_names.map(Tag),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda operands: And(tuple(operands))),
        st.lists(inner, min_size=2, max_size=3).map(lambda operands: Or(tuple(operands))),
    ),
    max_leaves=6,
)
installations = st.builds(
    lambda name, tags, templates, platform: installation(
        name, *sorted(tags), templates=templates, platform=platform, push_channel=f"{ord(name[1]):04X}"
    ),
    st.sampled_from(NAMES),
    st.sets(st.sampled_from(TAGS)),
    st.booleans(),
    st.sampled_from([Platform.FCM, Platform.APNS]),
)
steps = st.lists(
    st.one_of(
        st.lists(installations, min_size=1, max_size=4).map(Put),
        st.sampled_from(NAMES).map(Delete),
        st.sampled_from(NAMES).map(Die),
    ),
    min_size=1,
    max_size=12,
)
audiences: st.SearchStrategy[Audience] = st.one_of(st.just(EVERYONE), expressions)
contents: st.SearchStrategy[Content] = st.sampled_from(
    [
        TemplateContent(properties={}),
        NativeContent(platform=Platform.FCM, payload=b""),
        NativeContent(platform=Platform.APNS, payload=b""),
    ]
)
platform_choices = st.sampled_from([None, frozenset([Platform.FCM]), frozenset([Platform.APNS, Platform.WNS])])


@dataclass
class Registry:
    """The registry under test, and the same in plain Python."""

    connection: sqlite3.Connection
    shape: IndexShape
    alive: dict[str, Installation] = field(default_factory=dict)

    def play(self, step: Put | Delete | Die) -> None:
        match step:
            case Put(given):
                pairs = [(one, registrations_of(one)) for one in given]
                registry.put_installations(self.connection, HUB, pairs, now=NOW, shape=self.shape)
                self.alive |= {one.id: one for one in given}
            case Delete(name):
                registry.delete_installation(self.connection, HUB, name, now=NOW, shape=self.shape)
                self.alive.pop(name, None)
            case Die(name):
                rows = self.connection.execute(
                    "SELECT ordinal FROM registration WHERE installation_id = ?", (name,)
                ).fetchall()
                for (ordinal,) in rows:
                    registry.mark_dead(self.connection, ordinal, reason="", gone_since=None, now=NOW, shape=self.shape)
                self.alive.pop(name, None)

    def found(
        self, audience: Audience, content: Content, platforms: frozenset[Platform] | None, max_candidates: int
    ) -> list[str]:
        given = notification(audience, content=content, platforms=platforms)
        answer = finding.audience_of(self.connection, given, now=NOW, max_candidates=max_candidates)
        return sorted(target.push_channel for target in answer.targets)

    def expected(self, audience: Audience, content: Content, platforms: frozenset[Platform] | None) -> list[str]:
        native = isinstance(content, NativeContent)
        if isinstance(content, NativeContent):
            platforms = frozenset([content.platform])
        return sorted(
            registration.push_channel
            for one in self.alive.values()
            for registration in registrations_of(one)
            if (registration.template_name is None) == native
            and (platforms is None or registration.platform in platforms)
            and (
                isinstance(audience, Everyone)
                or matches(audience, frozenset(tag_key(tag) for tag in registration.tags))
            )
        )


@given(steps, audiences, contents, platform_choices, st.integers(0, 6))
def test_any_expression_over_any_registry_finds_what_trying_each_registration_would(
    played: Sequence[Put | Delete | Die],
    audience: Audience,
    content: Content,
    platforms: frozenset[Platform] | None,
    fold_at: int,
) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection)
        known = Registry(connection, IndexShape(fold_at=fold_at, block_bits=2))
        for step in played:
            known.play(step)
        for candidates_up_to in (-1, 10**6):  # by bitmaps alone; by candidates wherever tags are kept as rows
            found = known.found(audience, content, platforms, candidates_up_to)
            assert found == known.expected(audience, content, platforms)
    finally:
        connection.close()


@given(expressions, st.sets(tag_names))
def test_whatever_matches_carries_one_of_the_driving_tags(expression: TagExpression, tags: set[str]) -> None:
    keys = frozenset(tag_key(tag) for tag in tags)
    driver = driving_tags(expression)
    if driver is not None and matches(expression, keys):
        assert driver & keys


@pytest.mark.parametrize(
    "expression, driver",
    [
        ("a", {"a"}),
        ("!a", None),
        ("a && !b", {"a"}),
        ("a || b", {"a", "b"}),
        ("a || !b", None),
        ("(a || b) && c", {"c"}),
        ("news && $UserId:{ann}", {"$userid:{ann}"}),
        ("(a || b) && !c", {"a", "b"}),
        ("!a && !b", None),
        ("!!a", None),
    ],
)
def test_the_fewest_tags_drive(expression: str, driver: set[str] | None) -> None:
    given_audience = notification(expression).audience
    assert not isinstance(given_audience, Everyone)
    assert driving_tags(given_audience) == driver
