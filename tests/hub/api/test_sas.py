"""Tokens: how each SDK spells them, and what does not hold."""

import base64
import hashlib
import hmac
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api.access import AccessPolicy, Right
from hub.api.sas import CLOCK_SKEW, SignedTokens, signed_token
from hub.api.wire.errors import UnauthorizedError
from hub.transport.sas import signature_for
from tests.hub.api.signing import EXPIRY, KEY, OTHER_KEY, sign, token

FULL = AccessPolicy(name="full", rights=frozenset(Right), keys=(KEY, OTHER_KEY))
SPACED = AccessPolicy(name="Full Key", rights=frozenset(Right), keys=(KEY,))
NAMESAKE = AccessPolicy(name="full", rights=frozenset({Right.LISTEN}), keys=("namespace key",))
POLICIES = (FULL, SPACED, NAMESAKE)
PATH = "/h1/registrations"
LISTED = "https://ns.example/h1/registrations/?api-version=2020-06&$filter=deviceToken+eq+'aa'"


def authenticated(authorization: str | None, *, path: str = PATH, now: float = EXPIRY - 3600) -> AccessPolicy:
    signed = signed_token(authorization, policies=POLICIES)
    return signed.policy_for(hosts={"ns.example"}, path=path, now=now)


def spelled(sr: str, *, name: str = "full", order: str = "sr sig se skn", raw_slashes: bool = False) -> str:
    sig = quote(sign(KEY.encode(), f"{sr}\n{EXPIRY}"), safe="/" if raw_slashes else "")
    fields = {"sr": sr, "sig": sig, "se": str(EXPIRY), "skn": name}
    return "SharedAccessSignature " + "&".join(f"{field}={fields[field]}" for field in order.split())


def lower(text: str) -> str:
    return quote(text.lower(), safe="").lower()


def test_a_known_signature_is_computed_as_published_tools_do() -> None:
    sr = "https%3a%2f%2fns.example%2fh1"
    digest = hmac.new(b"key", b"https%3a%2f%2fns.example%2fh1\n1896109506", hashlib.sha256).digest()
    assert signature_for("key", sr, "1896109506") == base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(spelled("https%3A%2F%2Fns.example%2F"), id="JS"),
        pytest.param(spelled("http%3a%2f%2fns.example%2fh1%2fregistrations%2f"), id=".NET"),
        pytest.param(spelled("http%3A%2F%2Fns.example%2Fh1%2Fregistrations%2F"), id=".NET Framework"),
        pytest.param(spelled(lower(LISTED)), id="Java"),
        pytest.param(spelled(lower("https://ns.example/h1"), order="sig se skn sr", raw_slashes=True), id="PY1"),
        pytest.param(spelled("sb%3A%2F%2Fns.example%2F"), id="PY2"),
        pytest.param(spelled(lower(LISTED.replace("https", "http"))), id="iOS"),
        pytest.param(spelled("https%3A%2F%2Fns.example%3A8443%2Fh1"), id="a port"),
        pytest.param(spelled("ns.example%2Fh1"), id="no scheme"),
        pytest.param(spelled("https%3A%2F%2FNS.Example%2FH1%2F"), id="upper case"),
        pytest.param(
            spelled("https%3A%2F%2Fns.example%2F").replace("SharedAccessSignature ", "sharedaccesssignature   ")
        ),
        pytest.param(token("full", key=OTHER_KEY), id="secondary key"),
        pytest.param(spelled("https%3A%2F%2Fns.example%2F", name="Full%20Key"), id="encoded name"),
        pytest.param(spelled("https%3A%2F%2Fns.example%2F", name="Full Key"), id="raw name"),
    ],
)
def test_a_token_of_every_sdk_is_accepted(authorization: str) -> None:
    assert authenticated(authorization) in (FULL, SPACED)


def test_a_namesake_of_the_namespace_signs_with_its_own_key() -> None:
    assert authenticated(token("full", key="namespace key")) is NAMESAKE


def test_a_plus_in_the_signature_is_no_space() -> None:
    expiry = next(EXPIRY + n for n in range(1000) if "+" in sign(KEY.encode(), f"sb%3A%2F%2Fns.example\n{EXPIRY + n}"))
    sig = sign(KEY.encode(), f"sb%3A%2F%2Fns.example\n{expiry}").replace("=", "%3D")
    assert authenticated(f"SharedAccessSignature sr=sb%3A%2F%2Fns.example&sig={sig}&se={expiry}&skn=full") is FULL


SR = "https%3A%2F%2Fns.example%2F"
DECODED = (
    f"SharedAccessSignature sr={SR}&sig={quote(sign(KEY.encode(), f'https://ns.example/{chr(10)}{EXPIRY}'), safe='')}"
)


@pytest.mark.parametrize(
    ("authorization", "kind"),
    [
        (None, "MissingToken"),
        ("", "MissingToken"),
        ("Bearer abc", "MalformedToken"),
        ("SharedAccessSignature", "MalformedToken"),
        ("SharedAccessSignature sr=a&sig=b&se=1", "MalformedToken"),
        (token("full").replace(f"se={EXPIRY}", "se=soon"), "MalformedToken"),
        (token("full").replace(f"se={EXPIRY}", "se=" + "9" * 5000), "MalformedToken"),
        (token("full", key="wrong"), "InvalidSignature"),
        (token("nobody"), "InvalidSignature"),
        (token("full").replace(f"se={EXPIRY}", f"se={EXPIRY + 1}"), "InvalidSignature"),
        (token("full").replace("%2F&", "%2f&"), "InvalidSignature"),
        (f"{DECODED}&se={EXPIRY}&skn=full", "InvalidSignature"),
        (token("full", expiry=EXPIRY - 7200), "ExpiredToken"),
        (token("full", resource="https://ns.example/h2"), "InvalidAudience"),
        (token("full", resource="https://ns.example/h"), "InvalidAudience"),
        (token("full", resource="https://other.example/"), "InvalidAudience"),
        (token("full", resource="ftp://ns.example/"), "InvalidAudience"),
        (token("full", resource="https://[ns.example/"), "InvalidAudience"),
        (token("full", resource="https://ns.example/h1/registrations/1"), "InvalidAudience"),
    ],
)
def test_a_token_that_does_not_hold_is_refused_with_its_kind(authorization: str | None, kind: str) -> None:
    with pytest.raises(UnauthorizedError) as error:
        authenticated(authorization)
    assert error.value.kind == kind
    assert str(error.value).startswith(f"{kind}: ")


def test_a_token_for_another_place_is_told_which_and_what_was_asked() -> None:
    with pytest.raises(UnauthorizedError) as error:
        authenticated(token("full", resource="https://Other.example:8443/h2"))
    assert "'other.example/h2'" in str(error.value)
    assert "'ns.example/" in str(error.value)
    with pytest.raises(UnauthorizedError, match="no URL of http, https or sb"):
        authenticated(token("full", resource="ftp://ns.example/"))


def test_a_key_is_its_text_and_not_what_it_decodes_to() -> None:
    policy = AccessPolicy(name="full", rights=frozenset(Right), keys=("c2VjcmV0",))
    sig = quote(sign(base64.b64decode("c2VjcmV0"), f"{SR}\n{EXPIRY}"), safe="")
    with pytest.raises(UnauthorizedError, match="InvalidSignature"):
        signed_token(f"SharedAccessSignature sr={SR}&sig={sig}&se={EXPIRY}&skn=full", policies=(policy,))


def test_a_clock_may_be_behind_by_a_few_minutes() -> None:
    assert authenticated(token("full"), now=EXPIRY + CLOCK_SKEW) is FULL
    with pytest.raises(UnauthorizedError, match="ExpiredToken"):
        authenticated(token("full"), now=EXPIRY + CLOCK_SKEW + 1)


@pytest.mark.parametrize("resource", ["https://ns.example/my%20hub", "https://ns.example/my hub"])
def test_a_hub_with_a_space_is_covered_by_either_spelling(resource: str) -> None:
    assert authenticated(token("full", resource=resource), path="/My Hub/messages") is FULL


def test_keys_do_not_show() -> None:
    assert KEY not in repr(FULL)


@pytest.mark.slow  # a hundred texts are two seconds of CPU
@given(st.text(max_size=80))
def test_any_header_is_refused_in_our_own_words(text: str) -> None:
    for authorization in (
        text,
        f"SharedAccessSignature {text}",
        f"SharedAccessSignature sr={text}&sig={text}&se=1&skn=full",
    ):
        with pytest.raises(UnauthorizedError):
            authenticated(authorization)


def test_a_signature_is_computed_once_for_a_token_and_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []

    def counted(key: str, resource: str, expiry: str) -> str:
        computed.append(key)
        return signature_for(key, resource, expiry)

    monkeypatch.setattr("hub.api.sas.signature_for", counted)
    tokens = SignedTokens()
    for _ in range(3):
        assert tokens.token(token("full"), hub="h1", policies=[FULL]).policy is FULL
    assert computed == [KEY]
    with pytest.raises(UnauthorizedError):
        tokens.token(token("full"), hub="h2", policies=[NAMESAKE])
    assert len(computed) == 2


def test_what_a_token_says_holds_each_time_that_it_is_shown() -> None:
    tokens = SignedTokens()
    for now, path in ((EXPIRY, PATH), (EXPIRY + CLOCK_SKEW + 1, PATH), (EXPIRY, "/h2/registrations"), (EXPIRY, PATH)):
        signed = tokens.token(token("full", resource="https://ns.example/h1"), hub="h1", policies=POLICIES)
        if (now, path) == (EXPIRY, PATH):
            assert signed.policy_for(hosts={"ns.example"}, path=path, now=now) is FULL
        else:
            with pytest.raises(UnauthorizedError):
                signed.policy_for(hosts={"ns.example"}, path=path, now=now)


def test_so_many_tokens_are_kept_and_none_whose_signature_is_wrong() -> None:
    tokens = SignedTokens(most=2)
    for host in "abc":
        tokens.token(spelled(f"https%3A%2F%2F{host}.example%2F"), hub="h1", policies=POLICIES)
        with pytest.raises(UnauthorizedError):
            tokens.token(token("full", key="no key"), hub="h1", policies=POLICIES)
    assert len(tokens._tokens) == 2
