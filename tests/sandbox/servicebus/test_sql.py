"""The filter language: what matches, what is unknown, and what is no filter."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.servicebus.amqp.encoding import encode, encode_described
from sandbox.servicebus.amqp.types import Timestamp
from sandbox.servicebus.content import APPLICATION_PROPERTIES, PROPERTIES, Content, read_content
from sandbox.servicebus.errors import FilterError
from sandbox.servicebus.rules.rule import CorrelationFilter, SqlAction, SqlFilter


def message(subject: str | None = None, **properties: Any) -> Content:
    fields = ["id-1", None, "to-us", subject, None, "corr", "text/plain", None, None, None, "session"]
    return read_content(
        encode_described(PROPERTIES, encode(fields)) + encode_described(APPLICATION_PROPERTIES, encode(properties))
    )


MESSAGE = message(
    "joined", level=5, half=0.5, name="Ada's", flag=True, empty="", when=Timestamp(1000), **{"with space": 1, "p%": "x"}
)

MATCHING = [
    "1 = 1",
    "level = 5",
    "level = 5.0",
    "level <> 4 AND level != 4",
    "level > 4 and level >= 5 And level < 6 AND level <= 5",
    "name = 'Ada''s'",
    "flag = TRUE",
    "flag",
    "NOT (flag = FALSE)",
    "level IN (1, 2, 5)",
    "level NOT IN (1, 2)",
    "sys.Label = 'joined'",
    "sys.label LIKE 'j%'",
    "sys.Subject LIKE '_oined'",
    "sys.MessageId = 'id-1' AND sys.To = 'to-us' AND sys.CorrelationId = 'corr'",
    "sys.ContentType = 'text/plain' AND sys.SessionId = 'session'",
    "sys.ReplyTo IS NULL",
    "sys.Label NOT LIKE 'x%'",
    "'50%' LIKE '50!%' ESCAPE '!'",
    "'a.b' LIKE 'a.b' AND 'axb' NOT LIKE 'a.b'",
    "missing IS NULL",
    "level IS NOT NULL",
    "EXISTS(level)",
    "EXISTS(user.level) AND NOT EXISTS(missing)",
    "user.level + 1 = 6",
    "level * 2 - 1 = 9",
    "level / 2 = 2",
    "level % 2 = 1",
    "-7 % 3 = -1 AND 7.5 % 2 = 1.5",
    "-level / 2 = -2",
    "half * 4 = 2",
    "2 + 3 * 2 = 8 AND (2 + 3) * 2 = 10",
    "[with space] = 1",
    '"with space" = 1',
    "property('level') = 5",
    "p('p%') = 'x'",
    "0x1F = 31",
    "1e3 = 1000",
    "level = 5 OR missing = 1",
    "'a' + 'b' = 'ab'",
    "empty = ''",
    "newid() IS NOT NULL",
]

NOT_MATCHING = [
    "1 = 2",
    "missing = 1",
    "NOT (missing = 1)",
    "missing <> 1",
    "level = '5'",
    "level = TRUE",
    "name > 5",
    "level / 0 = 1",
    "1e308 * 10 % 3 = 1",
    "missing LIKE '%'",
    "level LIKE '5'",
    "missing NOT IN (1)",
    "missing = NULL",
    "missing = 1 OR missing = 2",
    "flag AND missing",
    "level",
    "flag > FALSE",
]


@pytest.mark.parametrize("expression", MATCHING)
def test_a_condition_that_holds_matches(expression: str) -> None:
    assert SqlFilter(expression).matches(MESSAGE)


@pytest.mark.parametrize("expression", NOT_MATCHING)
def test_a_condition_that_is_false_or_unknown_does_not(expression: str) -> None:
    assert not SqlFilter(expression).matches(MESSAGE)


@pytest.mark.parametrize(
    ("expression", "column"),
    [
        ("", 1),
        ("level =", 8),
        ("level = 5 AND", 14),
        ("(level = 5", 11),
        ("level = 5)", 10),
        ("level NOT 5", 11),
        ("sys.Unknown = 1", 5),
        ("level # 5", 7),
        ("'open", 1),
        ("@missing = 1", 1),
        ("nonsense(1) = 1", 1),
        ("EXISTS 5", 8),
        ("NOT " * 120 + "flag", 401),
        ("(" * 120 + "1" + ")" * 120, 51),
        ("x" * 1100, 1025),
    ],
)
def test_what_is_no_filter_is_refused_with_its_column(expression: str, column: int) -> None:
    with pytest.raises(FilterError) as refused:
        SqlFilter(expression)
    assert refused.value.column == column


WORDS = st.sampled_from(["level", "sys.Label", "'a'", "1", "(", ")", "AND", "OR", "NOT", "=", "<", "IN", "LIKE", "IS",
                         "NULL", ",", "-", "*", "EXISTS", "@p", "ESCAPE", "%"])  # fmt: skip


@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join)))
def test_any_text_is_a_filter_or_refused_with_a_column(text: str) -> None:
    column = 1
    try:
        SqlFilter(text, {"@p": 1}).matches(MESSAGE)
    except FilterError as error:
        column = error.column
    assert 1 <= column <= len(text) + 1


def test_a_parameter_stands_for_its_value() -> None:
    assert SqlFilter("level = @Wanted", {"@wanted": 5}).matches(MESSAGE)


@pytest.mark.parametrize(
    ("filter_", "matches"),
    [
        (CorrelationFilter(system={"subject": "joined"}), True),
        (CorrelationFilter(system={"subject": "left"}), False),
        (CorrelationFilter(system={"subject": "joined"}, user={"level": 5}), True),
        (CorrelationFilter(user={"level": "5"}), False),
        (CorrelationFilter(user={"flag": 1}), False),
        (CorrelationFilter(user={"missing": 1}), False),
        (CorrelationFilter(user={"when": Timestamp(1000)}), True),
    ],
)
def test_a_correlation_filter_wants_everything_equal_type_included(filter_: CorrelationFilter, matches: bool) -> None:
    assert filter_.matches(MESSAGE) is matches


def test_an_action_sets_and_removes_properties_in_order() -> None:
    action = SqlAction("SET level = level + 1; SET user.copy = level; REMOVE flag; SET [new one] = 'x';")
    changed = action.apply(message(level=1, flag=True)).application_properties
    assert changed == {"level": 2, "copy": 1, "new one": "x"}


@pytest.mark.parametrize("text", ["", "SET level", "DROP level", "SET sys.Label = 'x'", "REMOVE a REMOVE b"])
def test_what_is_no_action_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        SqlAction(text)
