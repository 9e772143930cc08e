"""`to`: audiences with values in their tags, and that values never are more than that."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.notification import EVERYONE
from hub.tags import MaxTags, Tag, parse
from rules.audience import AudienceFor, compile_installation, compile_tags, compile_user, everyone
from rules.errors import ExpressionError, RenderError, UnsafeTagError
from tests.rules.support import event

HOSTILE = [
    "x || vip",
    "x && y",
    "!x",
    "(x)",
    "x y",
    "",
    " ",
    "x\n",
    "$UserId:{x}",
    "{x}",
    "x}",
    "x,y",
    "x/y",
    "x" * 121,
    "x=y",
    "\x00",
]


def tags(text: str) -> AudienceFor:
    return compile_tags(text, MaxTags())


@pytest.mark.parametrize(
    "text, audience",
    [
        ("team:hr", "team:hr"),
        ("customer:{{ data.id }} && topic:debits", "customer:c9 && topic:debits"),
        ("{{ data.id }}", "c9"),
        ("!{{ data.id }}", "!c9"),
        ("a || (b && !pre-{{ data.id }}-{{ data.n }})", "a || b && !pre-c9-7"),
        ("{{ data.id | upper }}||{{ data.nope | default('x') }}", "C9 || x"),
        ("$UserId:{bob} && x:{{ data.id }}", "$UserId:{bob} && x:c9"),
        ("$UserId:{{ data.id }} && greet", "$UserId:{c9} && greet"),
        ("hole0.{{ data.id }}", "hole0.c9"),
    ],
)
def test_values_fill_placeholders_in_tags(text: str, audience: str) -> None:
    assert tags(text)(event({"id": "c9", "n": 7})) == parse(audience)


@pytest.mark.parametrize(
    "text, column", [("$UſerId:{x}", 1), ("a || $İnstallationId:{x}", 6), ("{{ data.id }} && $InstallatıonId:{x}", 18)]
)
def test_a_service_tag_in_letters_that_only_look_alike_is_refused_with_its_column(text: str, column: int) -> None:
    with pytest.raises(ExpressionError) as error:
        tags(text)
    assert error.value.column == column


def test_users_installations_and_everyone_have_words_of_their_own() -> None:
    subject = event({"id": "a=b@c"})
    assert compile_user("{{ data.id }}")(subject) == Tag("$UserId:{a=b@c}")
    assert compile_installation("i-{{ data.id }}")(subject) == Tag("$InstallationId:{i-a=b@c}")
    assert everyone(subject) is EVERYONE


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("text", ["customer:{{ data.id }}", "{{ data.id }} && x", "{{ data.id | trim }}"])
def test_a_hostile_value_cannot_widen_the_audience(text: str, value: str) -> None:
    if "trim" in text and value.strip() == "x":
        assert tags(text)(event({"id": value})) == Tag("x")
        return
    with pytest.raises(UnsafeTagError):
        tags(text)(event({"id": value}))


@pytest.mark.parametrize("value", [hostile for hostile in HOSTILE if hostile != "x=y"])
@pytest.mark.parametrize("compile_", [compile_user, compile_installation])
def test_a_hostile_id_cannot_leave_its_braces(compile_: Callable[[str], AudienceFor], value: str) -> None:
    with pytest.raises(UnsafeTagError):
        compile_("{{ data.id }}")(event({"id": value}))


@settings(deadline=None)  # a busy machine is no failure
@given(value=st.text(max_size=130))
def test_whatever_the_value_the_audience_is_one_tag_that_ends_in_it(value: str) -> None:
    try:
        audience = tags("customer:{{ data.id }}")(event({"id": value}))
    except UnsafeTagError:
        return
    assert audience == Tag(f"customer:{value}")
    assert parse(str(audience)) == audience


def test_a_tag_may_not_grow_beyond_its_limit() -> None:
    assert tags("c:{{ data.id }}")(event({"id": "x" * 118})) == Tag("c:" + "x" * 118)
    with pytest.raises(UnsafeTagError, match=r"the tag with data\.id has 121 characters"):
        tags("c:{{ data.id }}")(event({"id": "x" * 119}))


def test_a_refusal_names_the_variable_and_not_its_value() -> None:
    with pytest.raises(UnsafeTagError, match=r"^data\.id holds a space, which a tag may not hold: "):
        tags("customer:{{ data.id }}")(event({"id": "secret value"}))


def test_a_missing_value_is_no_audience() -> None:
    with pytest.raises(RenderError, match=r"data\.id is missing"):
        tags("customer:{{ data.id }}")(event({}))


@pytest.mark.parametrize(
    "text, message, column",
    [
        ("a && ", "expected a tag, found the end", 6),
        ("c:{{ data.id }} &&& b", "expected a tag, found '&'; tags are letters, digits and _ @ # . : -", 19),
        ("{{ data.id }} {{ data.n }}", "expected && or || before '{{…}}'", 15),
        ("{{ data.id }} && (a", "this parenthesis is never closed", 18),
        ("c:{{ dta.id }}", "there is no name 'dta'", 5),
        (
            "{{ data.a }} && b || c || d || e || f || g",
            "7 tags are too many: an expression that mixes operators may have up to 6",
            42,
        ),
        ("everyone else", "expected && or || before 'else'", 10),
    ],
)
def test_a_mistake_has_a_column_of_the_text_as_written(text: str, message: str, column: int) -> None:
    with pytest.raises(ExpressionError) as refusal:
        tags(text)
    assert (str(refusal.value), refusal.value.column) == (message, column)


def test_limits_are_those_of_the_hub() -> None:
    text = " || ".join(f"t{n}" for n in range(30))
    with pytest.raises(ExpressionError):
        tags(text)
    limits = MaxTags(only_or=30, only_and=30, mixed=30)
    assert compile_tags(text, limits)(event()) == parse(text, max_tags=limits)


def test_a_constant_id_is_checked_as_it_loads() -> None:
    with pytest.raises(ExpressionError, match="an id is letters"):
        compile_user("a b")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "is empty: default gives it a value"),
        ("x" * 121, "has 121 characters, 120 are allowed"),
        ("acme/shop", "holds '/', which a tag may not hold: | replace('/', '-') makes it one"),
        ("acme shop", "holds a space, which a tag may not hold: | replace(' ', '-') makes it one"),
        ("a||b", "holds '|', which"),
        ("a&b", "holds '&', which"),
        ("a{b}", "holds '{', which"),
        ("a\nb", "holds '\\n', which"),
        ("a\u00a0b", "holds '\\xa0'"),
        ("a=b", "holds '=', which a tag may not hold"),
    ],
)
def test_a_refusal_says_which_of_the_three_it_was_and_the_cure(value: str, reason: str) -> None:
    with pytest.raises(UnsafeTagError) as refusal:
        compile_tags("shop:{{ data.id }}", MaxTags())(event({"id": value}))
    assert str(refusal.value).startswith(f"data.id {reason}")
    assert not (len(value) > 1 and value in str(refusal.value))


@pytest.mark.parametrize("compile_id", [compile_user, compile_installation])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "is empty: default gives it a value"),
        ("x" * 121, "has 121 characters"),
        ("acme/ann", "holds '/', which an id may not hold: | replace('/', '-')"),
        ("ann}", "holds '}', which an id"),
    ],
)
def test_a_refused_id_says_which_of_the_three_it_was(
    compile_id: Callable[[str], AudienceFor], value: str, reason: str
) -> None:
    with pytest.raises(UnsafeTagError, match=re.escape(reason)):
        compile_id("{{ data.id }}")(event({"id": value}))
    assert compile_id("{{ data.id }}")(event({"id": "a=b"}))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("shop:acme/shop", "a tag may not hold /"),
        ("team:human resources", "a tag has no spaces"),
        ("a and b", "write && for and"),
        ("a, b", "a tag may not hold ,"),
        ("$(tag)", "write {{ data.tag }}"),
        ("customer:{id}", "write {{ data.id }}"),
    ],
)
def test_a_literal_that_is_no_tag_has_a_cure(text: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as refusal:
        compile_tags(text, MaxTags())
    assert hint in refusal.value.hint


@pytest.mark.parametrize(
    ("text", "hint"), [("acme/ann", "holds '/'"), ("x" * 121, "121 characters"), ("{id}", "{{ data.id }}")]
)
def test_a_literal_that_is_no_id_says_why(text: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as refusal:
        compile_user(text)
    assert hint in refusal.value.hint
