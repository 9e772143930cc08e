"""Texts held here: what a file may say, who reads which, and that values stay values."""

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any
from xml.etree import ElementTree

import pytest

from connectors.duration import seconds_in
from hub.acceptance import Reason
from hub.content.fitting import payload_of
from hub.fallback import Fallback
from hub.notification import Platform, TemplateContent
from hub.platforms.table import services
from hub.platforms.traits import PayloadKind, Traits
from rules.content.locales import chain, chosen, manner
from rules.content.reader import NamedContent, read_contents
from rules.content.texts import MAX_LINE, ContentTexts, Reader
from rules.document import load_document
from rules.engine import RuleSet
from rules.loader import load_rules
from rules.problems import Problems
from rules.scope import HubScope, Scope
from tests.rules.support import NOW, SCOPE, event, shown

DEBIT = """
content:
  debit:
    locales:
      en: { title: "Card debit {{ amount | money(currency) }}", body: "{{ merchant }}, {{ at | datetime('short') }}" }
      de: { title: "Belastung {{ amount | money(currency) }}", body: "{{ merchant }}, {{ at | datetime('short') }}" }
      ar: { title: "{{ amount | money(currency) }}", body: "{{ merchant }}, {{ at | date }}" }
    fallback: en
    options: { category: DEBIT, deep_link: "acme://debit/{{ id | urlencode }}", data: { debit: "{{ id }}" } }
"""
RULE = """
rules:
  - name: debit
    push:
      to: "customer:{{ data.customer }}"
      content: debit
      with:
        { amount: "{{ data.amount }}", currency: CHF, merchant: "{{ data.merchant }}", at: "{{ time }}", id: "{{ id }}" }
"""
GIVEN = {"amount": "250.5", "currency": "CHF", "merchant": "Migros", "at": "2026-03-02T11:00:00Z", "id": "a b"}


def read(text: str, directory: Path, **scope: Any) -> tuple[dict[str, NamedContent], RuleSet, list[str]]:
    """The contents and rules of a YAML text, and the problems found."""
    problems = Problems()
    file = directory / "rules.yaml"
    file.write_text(dedent(text), encoding="utf-8")
    root = load_document(file, problems, {})
    assert root is not None
    assert isinstance(root.value, dict)
    contents = read_contents(root.value.get("content"), problems)
    named = root.value.get("content")
    mistaken = frozenset(named.value if named is not None and isinstance(named.value, dict) else ())
    hubs = {**SCOPE.hubs, "far": HubScope(is_remote=True), "swiss": HubScope(locale="de-CH")}
    whole = Scope(
        sources=SCOPE.sources, hubs=hubs, default_hub="app", contents=contents, mistaken_contents=mistaken, **scope
    )
    rules = load_rules(root.value.get("rules"), root.value.get("defaults"), whole, problems, seconds_in=seconds_in)
    return contents, rules, shown(problems, directory)


def debit(directory: Path) -> ContentTexts:
    contents, _, problems = read(DEBIT, directory)
    assert problems == []
    return contents["debit"].texts


@pytest.mark.parametrize(
    ("locale", "time_zone", "title", "body"),
    [
        ("de-CH", "Europe/Zurich", "Belastung CHF\u00a0250.50", "Migros, 02.03.26, 12:00"),
        ("de", "Asia/Tokyo", "Belastung 250,50\u00a0CHF", "Migros, 02.03.26, 20:00"),
        ("de-AT", "", "Belastung CHF\u00a0250,50", "Migros, 02.03.26, 11:00"),
        ("fr", "", "Card debit CHF\u00a0250.50", "Migros, 3/2/26, 11:00\u202fAM"),
        ("", "", "Card debit CHF\u00a0250.50", "Migros, 3/2/26, 11:00\u202fAM"),
        ("en-GB", "America/New_York", "Card debit CHF\u00a0250.50", "Migros, 02/03/2026, 06:00"),
        ("ar-EG", "", "\u200f٢٥٠٫٥٠\u00a0CHF", "Migros, ٠٢\u200f/٠٣\u200f/٢٠٢٦"),
        ("{{ 7 }}", "", "Card debit CHF\u00a0250.50", "Migros, 3/2/26, 11:00\u202fAM"),
    ],
)
def test_a_phone_reads_its_language_and_its_own_numbers_and_times(
    locale: str, time_zone: str, title: str, body: str, tmp_path: Path
) -> None:
    texts = debit(tmp_path)
    read = texts.shown(GIVEN, texts.group(locale, time_zone))
    assert (read.title, read.body) == (title, body)
    assert read.deep_link == "acme://debit/a%20b"


@pytest.mark.parametrize(
    ("locale", "standing_in"),
    [
        ("de-CH", ("de-CH", "de")),
        ("DE_ch", ("de-CH", "de")),
        ("zh-TW", ("zh-TW", "zh-Hant", "zh")),
        ("zh-Hant-HK", ("zh-Hant-HK", "zh-Hant", "zh")),
        ("es-MX", ("es-MX", "es-419", "es")),
        ("en-GB", ("en-GB", "en-001", "en")),
        ("pt-AO", ("pt-AO", "pt-PT", "pt")),
    ],
)
def test_what_stands_in_for_a_language_is_what_cldr_says(locale: str, standing_in: tuple[str, ...]) -> None:
    assert chain(locale) == standing_in


def test_the_nearest_text_is_chosen_and_numbers_follow_the_phone_where_its_language_is_the_text_s() -> None:
    assert chosen("de-CH", ["en", "de"]) == "de"
    assert chosen("de", ["en", "de-CH"]) is None
    assert chosen("zh-TW", ["zh", "zh-Hant"]) == "zh-Hant"
    assert manner("de-CH", "de") == "de-CH"
    assert manner("fr", "en") == "en"
    assert manner("de-XX", "de") == "de"


PLURAL = """
content:
  inbox:
    locales:
      en: { title: Inbox, body: "{{ count | plural(one='# letter', other='# letters') }}" }
      pl: { title: Poczta, body: "{{ count | plural(one='# list', few='# listy', many='# listów', other='# listu') }}" }
      ar: { title: "ا", body: "{{ count | plural(zero='z', one='o', two='t', few='f #', many='m #', other='x #') }}" }
    fallback: en
"""


@pytest.mark.parametrize(
    ("locale", "count", "body"),
    [
        *[
            ("pl", str(count), body)
            for count, body in ((1, "1 list"), (2, "2 listy"), (5, "5 listów"), (22, "22 listy"))
        ],
        ("pl", "1.5", "1,5 listu"),
        *[("ar", str(n), text) for n, text in ((0, "z"), (1, "o"), (2, "t"), (3, "f 3"), (11, "m 11"), (100, "x 100"))],
        ("en", "1", "1 letter"),
        ("en", "1000", "1,000 letters"),
    ],
)
def test_plurals_have_the_forms_of_each_language(locale: str, count: str, body: str, tmp_path: Path) -> None:
    contents, _, problems = read(PLURAL, tmp_path)
    assert problems == []
    texts = contents["inbox"].texts
    assert texts.shown({"count": count}, texts.group(locale, "")).body == body


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en", "¥1,235 KWD\u00a01,234.567"),
        ("de", "1.235\u00a0¥ 1.234,567\u00a0KWD"),
        ("de-CH", "¥\u00a01'235 KWD\u00a01'234.567"),
        ("fr", "1\u202f235\u00a0JPY 1\u202f234,567\u00a0KWD"),
        ("it", "1235\u00a0JPY 1234,567\u00a0KWD"),
        ("pl", "1235\u00a0JPY 1234,567\u00a0KWD"),
        ("sv", "1\u00a0235\u00a0JPY 1\u00a0234,567\u00a0KWD"),
        ("ja", "￥1,235 KWD\u00a01,234.567"),
        ("pt-BR", "JP¥\u00a01.235 KWD\u00a01.234,567"),
        ("hi", "JP¥1,235 KWD\u00a01,234.567"),
    ],
)
def test_money_has_the_digits_of_its_currency_in_ten_languages(locale: str, text: str, tmp_path: Path) -> None:
    """As texts, which properties are; by CLDR's currency digits, 0 of JPY and 3 of KWD."""
    written = "{{ a | money('JPY') }} {{ a | money('KWD') }}"
    contents, _, problems = read(
        f'content: {{ m: {{ locales: {{ {locale}: {{ title: t, body: "{written}" }} }} }} }}', tmp_path
    )
    assert problems == []
    texts = contents["m"].texts
    assert texts.shown({"a": "1234.567"}, texts.group(locale, "")).body == text


def test_a_rule_sends_the_properties_and_the_text_and_a_reload_changes_what_comes_later_alone(tmp_path: Path) -> None:
    _, rules, problems = read(DEBIT + RULE, tmp_path)
    assert problems == []
    data = {"customer": "c9", "amount": 250.5, "merchant": "Migros"}
    (intent,) = rules.route(event(data), now=NOW).intents
    content = intent.notification.content
    assert isinstance(content, TemplateContent)
    assert content.properties["amount"] == "250.5"
    assert content.text is not None
    again = ContentTexts.of(content.text.document)
    assert again.shown(content.properties, again.group("de-CH", "")).title == "Belastung CHF\u00a0250.50"
    _, changed, _ = read(DEBIT.replace("Belastung", "Abbuchung") + RULE, tmp_path)
    (later,) = changed.route(event(data), now=NOW).intents
    assert later.notification.id == intent.notification.id
    assert isinstance(later.notification.content, TemplateContent)
    assert later.notification.content.text != content.text


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (
            {"customer": "c", "amount": "much", "merchant": "m"},
            "content debit: title: amount | money(currency): is not a number",
        ),
        ({"customer": "c", "amount": 1}, "data.merchant is missing"),
        (
            {"customer": "c", "amount": 1, "merchant": "x" * 70_000},
            "data.merchant has 70000 characters, 65536 are allowed",
        ),
    ],
)
def test_what_cannot_be_filled_is_a_dead_letter_at_acceptance(
    data: Mapping[str, Any], detail: str, tmp_path: Path
) -> None:
    _, rules, _ = read(DEBIT + RULE, tmp_path)
    decision = rules.route(event(data), now=NOW)
    assert decision.intents == ()
    (failure,) = decision.failures
    assert (failure.reason, failure.detail) == (Reason.RENDER, detail)
    (explanation,) = rules.explain(event(data))
    assert explanation.condition is not None
    assert detail in explanation.condition.error


MISTAKES = {
    "a name that no rule gives": (
        RULE.replace("merchant: ", "seller: "),
        "rules.yaml:15:16: rules[0].push.content: debit needs merchant (rules.yaml:5), which push.with does not give"
        ' (write with: { merchant: "{{ … }}" })',
    ),
    "an unknown content": (
        RULE.replace("content: debit", "content: debits"),
        "rules.yaml:15:16: rules[0].push.content: 'debits' is not one of: debit (did you mean debit?)",
    ),
    "a remote hub": (
        RULE.replace("content: debit", "hub: far\n      content: debit"),
        "rules[0].push.content: a remote hub knows no texts of this configuration",
    ),
    "a language that there is not": (
        RULE.replace("content: debit", "locale: klingon\n      content: debit"),
        "rules[0].push.locale: there is no language 'klingon'",
    ),
    "a language without a text": (
        RULE.replace("content: debit", "locale: fr\n      content: debit"),
        "rules[0].push.locale: warning: debit has no text in fr (phones get en)",
    ),
}


@pytest.mark.parametrize(("rule", "problem"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_of_a_rule_are_named_at_their_place(rule: str, problem: str, tmp_path: Path) -> None:
    _, _, problems = read(DEBIT + rule, tmp_path)
    assert [each for each in problems if problem in each], problems


IN_CONTENT = {
    "no locales": ("c: {}", "content.c: locales is missing"),
    "no language": ("c: { locales: { xx-YY: { title: t, body: b } } }", "there is no language 'xx-YY'"),
    "a language twice": (
        "c: { locales: { de-CH: { title: t, body: b }, de_CH: { title: t, body: b } }, fallback: de-CH }",
        "this language is there twice",
    ),
    "no body": ("c: { locales: { en: { title: t } } }", "content.c.locales.en: body is missing"),
    "no fallback": (
        "c: { locales: { en: { title: t, body: b }, de: { title: t, body: b } } }",
        "fallback is missing, for phones of other languages (fallback: en)",
    ),
    "another fallback": ("c: { locales: { en: { title: t, body: b } }, fallback: fr }", "'fr' is not one of: en"),
    "an unknown key": (
        "c: { locales: { en: { titel: t, title: t, body: b } } }",
        "content.c.locales.en.titel: unknown key",
    ),
    "what one language lacks": (
        "c: { locales: { en: { title: t, subtitle: s, body: b }, de: { title: t, body: b } }, fallback: en }",
        "content.c.locales.de: warning: subtitle is missing in de (it is there in en)",
    ),
    "a call": ("c: { locales: { en: { title: t, body: '{{ x.format(1) }}' } } }", "calls are not part of the language"),
    "an attribute": (
        "c: { locales: { en: { title: t, body: '{{ x.__class__ }}' } } }",
        "x is a text of push.with and has no fields",
    ),
    "a statement": ("c: { locales: { en: { title: t, body: '{% for a in b %}' } } }", "{% is not part of the language"),
    "a power": ("c: { locales: { en: { title: t, body: '{{ 9**9**9 }}' } } }", "** is not part of the language"),
    "a repetition": (
        "c: { locales: { en: { title: t, body: '{{ x | center(10) }}' } } }",
        "there is no filter 'center'",
    ),
    "a plural of another language": (
        "c: { locales: { en: { title: t, body: \"{{ n | plural(few='x', other='y') }}\" } } }",
        "en has no plural 'few', only one, other",
    ),
    "a scheme from an event": (
        "c: { locales: { en: { title: t, body: b } }, options: { deep_link: '{{ url }}' } }",
        "a link begins with its scheme, which no value may choose",
    ),
    "a script": (
        "c: { locales: { en: { title: t, body: b } }, options: { deep_link: 'JavaScript:alert(1)' } }",
        "JavaScript: is no link that a push may lead to",
    ),
    "an image of any host": (
        "c: { locales: { en: { title: t, body: b } }, options: { image: 'https://{{ host }}/a.png' } }",
        "an image begins with https:// and its host, which no value may choose",
    ),
    "a key of a push service": (
        "c: { locales: { en: { title: t, body: b } }, options: { data: { aps: x } } }",
        "push services or other keys have this name",
    ),
    "no object": ("[]", "expected contents by name"),
    "a text": ("c: hello", "content.c: expected keys such as locales, fallback, options"),
}


@pytest.mark.parametrize(("text", "problem"), IN_CONTENT.values(), ids=IN_CONTENT.keys())
def test_mistakes_of_a_content_are_named_at_their_place(text: str, problem: str, tmp_path: Path) -> None:
    written = f"content:\n  {text}\n" if not text.startswith("[") else f"content: {text}\n"
    _, _, problems = read(written, tmp_path)
    assert [each for each in problems if problem in each], problems


def test_a_name_with_a_default_may_be_missing(tmp_path: Path) -> None:
    body = "{{ a | default('-') }}{{ b if b is defined else '' }}"
    text = f'content: {{ c: {{ locales: {{ en: {{ title: t, body: "{body}" }} }} }} }}\n'
    _, rules, problems = read(f"{text}rules: [ {{ name: r, push: {{ to: everyone, content: c }} }} ]", tmp_path)
    assert problems == []
    (intent,) = rules.route(event(), now=NOW).intents
    assert isinstance(intent.notification.content, TemplateContent)
    assert intent.notification.content.properties == {}


def test_a_hub_and_a_rule_say_which_language_phones_get_that_say_none(tmp_path: Path) -> None:
    _, rules, problems = read(DEBIT + RULE.replace("content: debit", "hub: swiss\n      content: debit"), tmp_path)
    assert problems == []
    plan = rules.rules[0].push
    assert plan is not None
    assert plan.content is not None
    assert plan.content.group("", "")[:2] == ("de", "de-CH")
    assert plan.content.group("en-GB", "")[:2] == ("en", "en-GB")
    fixed = plan.content.for_reader(Reader(only="de"))
    assert fixed.group("en-GB", "")[:2] == ("de", "de")


MIXED = """
content:
  c:
    locales:
      en: { title: "{{ a }}", body: b }
      de: { title: "{{ a | number_format }}", body: b }
    fallback: en
"""


@pytest.mark.parametrize(
    ("locale", "value", "reader", "title", "why"),
    [
        ("de-CH", "1234", Reader(), "1'234", None),
        ("en-GB", "1234", Reader(), "1234", None),
        ("fr", "1234", Reader(), "1234", Fallback.NO_TEXT),
        ("", "1234", Reader(), "1234", Fallback.NO_LOCALE),
        ("", "1234", Reader(locale="de"), "1.234", None),
        ("", "1234", Reader(locale="it"), "1234", Fallback.NO_TEXT),
        ("fr", "1234", Reader(only="de"), "1.234", None),
        ("de", "many", Reader(), "many", Fallback.NOT_FILLED),
    ],
)
def test_why_a_phone_reads_the_fallback_is_known(
    locale: str, value: str, reader: Reader, title: str, why: Fallback | None, tmp_path: Path
) -> None:
    contents, _, problems = read(MIXED, tmp_path)
    assert problems == []
    texts = contents["c"].texts.for_reader(reader)
    group = texts.group(locale, "")
    read_ = texts.shown({"a": value}, group)
    assert (read_.title, texts.fallback_for(group, read_)) == (title, why)


HOSTILE = (
    "\" } } ; || everyone", "' || 'a' == 'a", "a\nb\r\nc\u2028d", "$(title) $(a) ${env:HOME}", "{{ 7 * 7 }} {% raw %}",
    "</text><text>x</text>", "<!--", "]]>", "&lt;&amp;", "\u202eevil\u2066\u2069", "\x00\x07\x1b[31m", "\ufeff\ufffe",
    "👩‍👩‍👧‍👦" * 3000, "ü" * 60_000, "\\\" \\u0000", "%00%0a", "a" * 60_000,
)  # fmt: skip


@pytest.mark.parametrize("traits", services(), ids=lambda traits: traits.name)
@pytest.mark.parametrize(
    "name", ["title", "subtitle", "body", "category", "deep_link", "sound", "image", "channel", "v"]
)
def test_a_hostile_value_stays_a_value_at_each_place_and_the_payload_fits(
    name: str, traits: Traits, tmp_path: Path
) -> None:
    places = {"title": "t", "body": "b"}
    text = "content:\n  all:\n    locales: { en: { %s } }\n    options: { %s }\n"
    lines = {each: "{{ v }}" if each == name else fixed for each, fixed in {**places, "subtitle": "s"}.items()}
    begin = {"deep_link": "acme://x/", "image": "https://acme.example/"}.get(name, "")
    options = "data: { v: '{{ v }}' }" if name == "v" else "" if name in lines else f"{name}: '{begin}{{{{ v }}}}'"
    contents, _, problems = read(text % (", ".join(f"{k}: '{v}'" for k, v in lines.items()), options), tmp_path)
    assert problems == []
    texts = contents["all"].texts
    for value in HOSTILE:
        read_ = texts.shown({"v": value}, texts.group("en", ""))
        assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x00\x1b") & set(
            repr(read_.body + read_.title)
        )
        if len(value) > 4000 and name not in lines:
            continue  # what is no text for people is not cut: the payload is refused, or the service's
        payload, _ = payload_of(read_, traits.platform, {"id": "1"})
        assert len(payload) <= traits.shown_size
        parsed = _parsed(traits, payload)
        assert len(read_.title) <= MAX_LINE
        assert "everyone" not in parsed or "everyone" in value


def _parsed(traits: Traits, payload: bytes) -> str:
    """The payload as its service reads it; raises for what it could not read."""
    if traits.payload is PayloadKind.XML:
        root = ElementTree.fromstring(payload)
        assert len(root.findall(".//text")) <= 3
        return " ".join(root.itertext())
    document = json.loads(payload)
    assert isinstance(document, dict)
    return json.dumps(document)


def test_a_text_says_to_each_service_what_it_can_show(tmp_path: Path) -> None:
    texts = debit(tmp_path)
    read_ = texts.shown(GIVEN, texts.group("de-CH", "Europe/Zurich"))
    payload, headers = payload_of(read_, Platform.APNS, {})
    assert json.loads(payload) == {
        "aps": {
            "alert": {"title": "Belastung CHF\u00a0250.50", "body": "Migros, 02.03.26, 12:00"},
            "sound": "default",
            "category": "DEBIT",
        },
        "category": "DEBIT",
        "deep_link": "acme://debit/a%20b",
        "debit": "a b",
    }
    payload, _ = payload_of(read_, Platform.FCM, {})
    assert json.loads(payload)["message"]["data"] == {
        "category": "DEBIT",
        "deep_link": "acme://debit/a%20b",
        "debit": "a b",
    }
    payload, headers = payload_of(read_, Platform.WNS, {})
    assert headers == {"X-WNS-Type": "wns/toast"}
    toast = ElementTree.fromstring(payload)
    assert toast.get("launch") == "acme://debit/a%20b"
    payload, _ = payload_of(read_, Platform.BROWSER, {})
    assert json.loads(payload)["notification"]["lang"] == "de"
