"""Tag expressions: what parses to what, what is refused where, and who is matched."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import TagError
from hub.tags import (
    And,
    MaxTags,
    Not,
    Or,
    Tag,
    TagExpression,
    installation_tag,
    is_service_tag_value,
    is_tag_safe,
    matches,
    parse,
    tag_key,
    user_tag,
    valid_tag,
)

A, B, C = Tag("a"), Tag("b"), Tag("c")
NO_LIMIT = MaxTags(only_or=10_000, only_and=10_000, mixed=10_000)


def names(count: int, operator: str) -> str:
    return operator.join(f"t{number}" for number in range(count))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("  a\t", A),
        ("((a))", A),
        ("!a", Not(A)),
        ("!!a", Not(Not(A))),
        ("! ( a )", Not(A)),
        ("a||b", Or((A, B))),
        ("a && b && c", And((A, B, C))),
        ("a || b && c", Or((A, And((B, C))))),
        ("a && b || c", Or((And((A, B)), C))),
        ("(a || b) && c", And((Or((A, B)), C))),
        ("!a && b", And((Not(A), B))),
        ("!(a && b)", Not(And((A, B)))),
        ("(a && b) && c", And((And((A, B)), C))),
        ("_x@y#z.1:2-3", Tag("_x@y#z.1:2-3")),
        ("größe", Tag("größe")),
        ("日本 || a", Or((Tag("日本"), A))),
        ("$InstallationId:{0-1.a=} && greet", And((Tag("$InstallationId:{0-1.a=}"), Tag("greet")))),
        ("$UserId:{ann@x.org}", Tag("$UserId:{ann@x.org}")),
        ("$userid:{Ann}", Tag("$UserId:{Ann}")),
        ("$UserId:ann", Tag("$UserId:{ann}")),
        ("!$UserId:ann||a", Or((Not(Tag("$UserId:{ann}")), A))),
        ("x" * 120, Tag("x" * 120)),
    ],
)
def test_an_expression_becomes_its_tree(text: str, tree: TagExpression) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "column", "complaint"),
    [
        ("", 1, "empty"),
        ("   ", 4, "empty"),
        ("a b", 3, "expected && or || before 'b'"),
        ("a AND b", 3, "before 'AND'"),
        ("a & b", 3, "before '&'"),
        ("a,b", 2, "before ','"),
        ("a ||", 5, "found the end"),
        ("|| a", 1, "expected a tag"),
        ("a && || b", 6, "expected a tag, found '|'"),
        ("!", 2, "found the end"),
        ("(a || b", 1, "never closed"),
        ("a && (b || (c)", 6, "never closed"),
        ("(a b)", 4, "expected &&, || or )"),
        ("a)", 2, "before ')'"),
        ("()", 2, "expected a tag"),
        ("bad tag!", 5, "before 'tag'"),
        ("a || t*", 7, "before '*'"),
        ("$Other:{x}", 1, "only $InstallationId"),
        ("$UserId", 1, "only $InstallationId"),
        ("$UserId:{", 10, "expected an id"),
        ("$UserId:{}", 10, "expected an id"),
        ("$UserId:{a b}", 11, "expected }"),
        ("$UserId:{a", 11, "expected }"),
        ("a || " + "x" * 121, 6, "121 characters"),
        ("$UserId:{" + "x" * 121 + "}", 1, "121 characters"),
        ("$UſerId:{x}", 1, "only $InstallationId"),
        ("a || $İnstallationId:{x}", 6, "only $InstallationId"),
        ("$InstallatıonId:{x}", 1, "only $InstallationId"),
        ("$InſtallationId:x && a", 1, "only $InstallationId"),
        ("＄UserId:{x}", 1, "expected a tag"),
        ("$UserId：{x}", 1, "only $InstallationId"),
        ("$UserId:｛x｝", 9, "expected an id"),
        ("a\u200b", 2, r"before '\u200b'"),
        ("e\u0301", 2, "before '\u0301'"),
        ("a ¦¦ b", 3, "before '¦'"),
        ("\ud800", 1, "expected a tag"),
        ("(" * 5000 + "a" + ")" * 5000, 34, "nested deeper than 32"),
        ("!" * 5000 + "a", 34, "nested deeper than 32"),
    ],
)
def test_a_wrong_expression_is_refused_at_its_column(text: str, column: int, complaint: str) -> None:
    with pytest.raises(TagError) as error:
        parse(text)
    assert complaint in str(error.value)
    assert error.value.column == column


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        (names(20, "||"), True),
        (names(21, "||"), False),
        (names(10, " && "), True),
        (names(11, " && "), False),
        ("!" + names(10, " && !"), True),
        ("a && " + names(5, " || "), True),
        ("a && " + names(6, " || "), False),
        ("!a || " + names(5, " || "), True),
        ("!a || " + names(6, " || "), False),
    ],
)
def test_the_number_of_tags_is_limited_by_the_operators_used(text: str, allowed: bool) -> None:
    if allowed:
        parse(text)
    else:
        with pytest.raises(TagError, match="too many"):
            parse(text)


def test_the_limits_can_be_set_and_the_complaint_points_at_the_first_tag_too_many() -> None:
    with pytest.raises(TagError, match=r"3 tags are too many: an expression of \|\| alone may have up to 2") as error:
        parse("a || b || c", max_tags=MaxTags(only_or=2))
    assert error.value.column == 11


@given(st.text(alphabet="ab|&!() ${}:#é\x00\n", max_size=40) | st.text(max_size=60))
def test_any_text_parses_or_is_refused_in_our_own_words_with_a_column(text: str) -> None:
    refusal = None
    try:
        expression = parse(text)
    except TagError as error:
        refusal = error
    if refusal is None:
        assert parse(str(expression)) == expression
    else:
        assert 1 <= refusal.column <= len(text) + 1


KINDS = [
    "$UserId:",
    "$InstallationId:",
    "$USERID:",
    "$UſerId:",
    "$İnstallationId:",
    "$InstallatıonId:",
    "$",
    "＄UserId:",
]
CONFUSING = [
    "{",
    "}",
    "ſ",
    "İ",
    "ı",
    "\u212a",
    "ß",
    "ẞ",
    "ǅ",
    "ﬁ",
    "｛",
    "\u0301",
    "\u200b",
    "\u202e",
    "\ufeff",
    "\xa0",
]


@given(
    st.lists(st.sampled_from([*KINDS, *CONFUSING, "a", "K", "||", "&&", "!", "(", ")", " "]), max_size=12).map("".join)
)
def test_any_confusing_text_parses_or_is_refused_in_our_own_words_with_a_column(text: str) -> None:
    refusal = None
    try:
        expression = parse(text)
    except TagError as error:
        refusal = error
    if refusal is None:
        assert parse(str(expression)) == expression
    else:
        assert 1 <= refusal.column <= len(text) + 1
    assert valid_tag(text) is False or tag_key(text).startswith("$") is (text[0] == "$")


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("$UserId:{Ann}", "$USERID:{ann}", True),
        ("$UserId:{ÖLAF}", "$UserId:{ölaf}", True),
        ("$UserId:{ДЖО}", "$UserId:{джо}", True),
        ("$UserId:{straße}", "$UserId:{strasse}", False),
        ("$UserId:{STRASSE}", "$UserId:{straße}", False),
        ("$UserId:{\u212aim}", "$UserId:{kim}", False),
        ("$UserId:{ſam}", "$UserId:{sam}", False),
        ("$UserId:{İda}", "$UserId:{ida}", False),
        ("$UserId:{ıda}", "$UserId:{Ida}", False),
        ("$UserId:{ﬁn}", "$UserId:{fin}", False),
        ("$UserId:{ａnn}", "$UserId:{ann}", False),
        ("$UserId:{\u2126}", "$UserId:{ω}", False),
        ("$UserId:{Σ}", "$UserId:{ς}", False),
    ],
)
def test_ids_in_service_tags_are_compared_letter_by_letter(one: str, other: str, alike: bool) -> None:
    assert (tag_key(one) == tag_key(other)) is alike


TREES: st.SearchStrategy[TagExpression] = st.recursive(
    st.sampled_from([A, B, C, Tag("$UserId:{u=1}")]),
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=2, max_size=4).map(lambda operands: And(tuple(operands)))
        | st.lists(inner, min_size=2, max_size=4).map(lambda operands: Or(tuple(operands)))
    ),
    max_leaves=12,
)


@given(TREES)
def test_the_text_of_a_tree_parses_back_to_the_same_tree(tree: TagExpression) -> None:
    assert parse(str(tree), max_tags=NO_LIMIT) == tree


@pytest.mark.slow
def test_ten_thousand_random_expressions_match_as_python_s_own_operators_do() -> None:
    chance = random.Random(20)
    tags = "abcdef"

    def text(depth: int) -> str:
        kind = chance.random()
        if depth == 0 or kind < 0.2:
            return chance.choice(tags)
        if kind < 0.35:
            return f"!{text(depth - 1)}" if chance.random() < 0.5 else f"!({text(depth - 1)})"
        if kind < 0.5:
            return f"({text(depth - 1)})"
        return f"{text(depth - 1)}{chance.choice(['&&', ' || '])}{text(depth - 1)}"

    for _ in range(10_000):
        expression = text(4)
        carried = frozenset(tag for tag in tags if chance.random() < 0.5)
        python = expression.replace("&&", " and ").replace("||", " or ").replace("!", " not ")
        # Python wants `not` after `and` and `or` bare, and binds it as we do: above both.
        expected = eval(python, {"__builtins__": {}}, {tag: tag in carried for tag in tags})
        assert matches(parse(expression, max_tags=NO_LIMIT), carried) is expected, (expression, carried)


@pytest.mark.parametrize(("one", "other"), [("News", "nEWS"), ("ΟΔΟΣ", "οδος"), ("Größe", "GRÖSSE")])
def test_tags_compare_without_case(one: str, other: str) -> None:
    assert matches(parse(one), frozenset({tag_key(other)}))


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("alice", True),
        ("a@b.org", True),
        ("Zoë:1", True),
        ("x" * 120, True),
        ("x" * 121, False),
        ("", False),
        ("a b", False),
        ("a||b", False),
        ("!a", False),
        ("a=b", False),
        ("a}", False),
        ("$UserId:{a}", False),
        ("a\n", False),
        ("a,b", False),
    ],
)
def test_only_text_that_cannot_change_an_expression_is_tag_safe(text: str, safe: bool) -> None:
    assert is_tag_safe(text) is safe


@given(st.text(max_size=20))
def test_what_is_tag_safe_stays_one_tag_wherever_it_is_put(text: str) -> None:
    if is_tag_safe(text):
        assert parse(f"x && {text}") == And((Tag("x"), Tag(text)))
    if is_service_tag_value(text):
        assert parse(user_tag(text)) == Tag(user_tag(text))
        assert parse(installation_tag(text)) == Tag(installation_tag(text))


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("news", True),
        ("Ελλάδα", True),
        ("$UserId:{a=b}", True),
        ("$InstallationId:{i-1}", True),
        ("$UserId:ann", False),
        ("$UserId:{}", False),
        ("$UserId:{a}b", False),
        ("$Other:{a}", False),
        ("bad tag!", False),
        ("", False),
        ("x" * 121, False),
    ],
)
def test_a_registration_carries_only_valid_tags(text: str, valid: bool) -> None:
    assert valid_tag(text) is valid
