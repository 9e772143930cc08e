"""Amounts, numbers, dates and plurals as ten locales write them: CLDR 48, as ICU 78 prints the same values."""

from typing import Any

import pytest

from rules.errors import ExpressionError, RenderError
from rules.expressions import compile_expression
from tests.rules.support import event

NBSP, NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"

AMOUNTS = {  # 1234567.25 CHF, 1234 JPY, 1234.125 KWD
    "de-CH": ("CHF 1'234'567.25", "¥ 1'234", "KWD 1'234.125"),
    "de": ("1.234.567,25 CHF", "1.234 ¥", "1.234,125 KWD"),
    "en": ("CHF 1,234,567.25", "¥1,234", "KWD 1,234.125"),
    "en-IN": ("CHF 12,34,567.25", "JP¥1,234", "KWD 1,234.125"),
    "fr": (f"1{NARROW}234{NARROW}567,25 CHF", f"1{NARROW}234 JPY", f"1{NARROW}234,125 KWD"),
    "ar": ("\u200f1,234,567.25 CHF", "\u200f1,234 JP¥", "\u200f1,234.125 د.ك.\u200f"),
    "ar-EG": ("\u200f١٬٢٣٤٬٥٦٧٫٢٥ CHF", "\u200f١٬٢٣٤ JP¥", "\u200f١٬٢٣٤٫١٢٥ د.ك.\u200f"),
    "pl": ("1 234 567,25 CHF", "1234 JPY", "1234,125 KWD"),
    "ja": ("CHF 1,234,567.25", "￥1,234", "KWD 1,234.125"),
    "pt-BR": ("CHF 1.234.567,25", "JP¥ 1.234", "KWD 1.234,125"),
}
NUMBERS = {  # -1234567.10, and the day of Christmas Eve
    "de-CH": ("-1'234'567.10", "24.12.2026"),
    "de": ("-1.234.567,10", "24.12.2026"),
    "en": ("-1,234,567.10", "Dec 24, 2026"),
    "en-IN": ("-12,34,567.10", "24 Dec 2026"),
    "fr": (f"-1{NARROW}234{NARROW}567,10", "24 déc. 2026"),
    "ar-EG": ("\u061c-١٬٢٣٤٬٥٦٧٫١٠", "٢٤\u200f/١٢\u200f/٢٠٢٦"),
    "pl": ("-1 234 567,10", "24 gru 2026"),
    "ja": ("-1,234,567.10", "2026/12/24"),
    "pt-BR": ("-1.234.567,10", "24 de dez. de 2026"),
    "sv": ("\N{MINUS SIGN}1 234 567,10", "24 dec. 2026"),
}


def told(expression: str, **data: Any) -> Any:
    return compile_expression(expression).evaluate(event(data=data))


@pytest.mark.parametrize("locale", AMOUNTS)
def test_money_has_the_digits_of_its_currency_and_the_form_of_the_locale(locale: str) -> None:
    amounts = [("1234567.25", "CHF"), (1234, "JPY"), (1234.125, "KWD")]
    shown = [
        told(f"data.amount | money(data.currency, '{locale}')", amount=each, currency=code) for each, code in amounts
    ]
    assert [text.replace(NBSP, " ") for text in shown] == list(AMOUNTS[locale])


@pytest.mark.parametrize("locale", NUMBERS)
def test_numbers_keep_their_decimals_and_dates_are_the_locales(locale: str) -> None:
    number = told(f"data.n | number_format(locale='{locale}')", n="-1234567.10")
    day = told(f"data.at | date(locale='{locale}')", at="2026-12-24T20:30:00Z")
    assert (number.replace(NBSP, " "), day) == NUMBERS[locale]


def test_a_bank_writes_what_it_wants_without_naming_a_locale() -> None:
    assert told("data.amount | money('CHF')", amount=250.5) == f"CHF{NBSP}250.50"
    assert told("data.amount | money(data.currency)", amount="-250.5", currency="CHF") == f"-CHF{NBSP}250.50"


def test_money_is_rounded_half_to_even_and_keeps_no_minus_at_zero() -> None:
    shown = [
        told("data.n | money('EUR', 'de')", n=each) for each in ("0.005", "0.015", "-0.001", "12345678901234567890.1")
    ]
    assert shown == [f"{text}{NBSP}€" for text in ("0,00", "0,02", "0,00", "12.345.678.901.234.567.890,10")]


def test_digits_of_a_number_are_as_many_as_asked_for() -> None:
    assert [told(f"data.n | number_format({digits}, 'en')", n=1234.5678) for digits in (0, 2)] == ["1,235", "1,234.57"]


def test_a_time_is_shown_in_the_zone_and_a_day_stays_the_day() -> None:
    zone = "locale='de', timezone='Europe/Zurich'"
    assert told(f"data.at | datetime('short', {zone})", at="2026-07-01T22:30:00Z") == "02.07.26, 00:30"
    assert told(f"data.at | datetime('short', {zone})", at="2026-07-01T22:30:00") == "01.07.26, 22:30"
    assert told(f"data.at | date('full', {zone})", at="2026-07-01") == "Mittwoch, 1. Juli 2026"


@pytest.mark.parametrize(
    "count, text",
    [(1, "1 płatność"), (2, "2 płatności"), (5, "5 płatności!"), (22, "22 płatności"), ("1.5", "1,5 płatności?")],
)
def test_plurals_are_those_of_the_locale(count: Any, text: str) -> None:
    forms = "one='# płatność', few='# płatności', many='# płatności!', other='# płatności?'"
    assert told(f"data.n | plural('pl', {forms})", n=count) == text


@pytest.mark.parametrize(
    "expression, problem",
    [
        ("data.n | money", "money: missing a required argument: 'currency'"),
        ("data.n | money('FRANC')", "money: there is no currency 'FRANC'"),
        ("data.n | money('CHF', 'xx-YY')", "money: there is no locale 'xx-YY'"),
        ("data.n | money('CHF', data.locale)", "the arguments of money are constants"),
        ("data.n | money('CHF', 5)", "money: there is no locale 5"),
        ("data.n | number_format(-1)", "number_format: digits is a whole number up to 20"),
        ("data.n | number_format(true)", "number_format: digits is a whole number up to 20"),
        ("data.at | date('tiny')", "date: format is one of short, medium, long, full"),
        ("data.at | datetime(timezone='Mars')", "datetime: there is no time zone 'Mars'"),
        ("data.at | datetime(timezone='../etc/passwd')", "datetime: there is no time zone '../etc/passwd'"),
        ("data.n | plural('en', one='x')", "plural: the form other='…' is missing"),
        ("data.n | plural('en', few='x', other='y')", "plural: en has no plural 'few', only one, other"),
        ("data.n | plural('en', other=5)", "plural: each of its forms is a text"),
    ],
)
def test_what_can_never_be_is_refused_when_rules_load(expression: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        compile_expression(expression)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    "expression, data",
    [
        ("data.n | money('CHF')", {"n": "much"}),
        ("data.n | money('CHF')", {"n": float("nan")}),
        ("data.n | money(data.c)", {"n": 1, "c": "$(evil)"}),
        ("data.n | money(data.c)", {"n": 1, "c": ["CHF"]}),
        ("data.n | money(data.c)", {"n": 1}),
        ("data.n | number_format", {"n": None}),
        ("data.n | number_format", {"n": "1e999999999"}),
        ("data.at | date", {"at": "tomorrow"}),
        ("data.at | datetime(timezone='Pacific/Kiritimati')", {"at": "9999-12-31T23:59:59Z"}),
    ],
)
def test_what_an_event_brings_that_cannot_be_written_fails_the_rule_alone(
    expression: str, data: dict[str, Any]
) -> None:
    with pytest.raises(RenderError):
        told(expression, **data)


@pytest.mark.parametrize("number", ["1e30", 1e308, "9" * 60 + ".5", 10**60, "0." + "1" * 200], ids=str)
@pytest.mark.parametrize("locale", ["ar", "cy", "en", "fr", "pl", "ru"])
def test_a_number_of_many_digits_has_a_plural_like_any_other(locale: str, number: Any) -> None:
    """The rules of a locale take remainders: of more digits than Python's context has, they once failed."""
    assert told(f"data.n | plural('{locale}', other='#')", n=number) == told(
        f"data.n | number_format(locale='{locale}')", n=number
    )


@pytest.mark.parametrize("zero", [0, -0.0, "-0.00", "-0"])
def test_a_zero_has_no_sign(zero: Any) -> None:
    assert told("data.n | money('CHF', 'de-CH')", n=zero) == f"CHF{NBSP}0.00"
    assert told("data.n | number_format(2)", n=zero) == "0.00"


def test_an_expression_is_spelled_as_it_was_written() -> None:
    assert str(compile_expression("data.n|money( data.c,'de')").tree) == "data.n | money(data.c, 'de')"
