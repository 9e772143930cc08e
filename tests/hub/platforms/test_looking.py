"""What `doctor` tells of credentials, without reaching a phone."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from hub.notification import Platform
from hub.platforms.fcm.traits import FcmTraits
from hub.platforms.huawei.traits import HuaweiTraits
from hub.platforms.table import traits_of
from hub.platforms.traits import Seen, Traits
from hub.platforms.webpush.traits import WebPushTraits
from hub.platforms.wns.traits import WnsTraits
from hub.tls import Tls
from sandbox.services import PushServices
from tests.hub.platforms.lanes import apns_settings, fcm_settings, webpush_settings, wns_settings
from tests.hub.platforms.test_apns_certificate import settings_of


def vendor(services: PushServices, traits: Traits, **changes: Any) -> Any:
    given = dict(services.vendors.settings()[traits.name]) | changes
    return traits.settings(**given, tls=Tls(ca_file=services.ca_file))


def texts(seen: Sequence[Seen]) -> list[str]:
    assert not any(each.cure for each in seen)
    return [each.text for each in seen]


async def test_a_good_credential_is_given_a_token(services: PushServices) -> None:
    adm = traits_of(Platform("adm"))
    assert texts(await adm.look(vendor(services, adm))) == ["an access token was given"]
    assert texts(await WnsTraits().look(wns_settings(services))) == ["an access token was given"]
    assert not len(services.journal)


async def test_a_refused_credential_is_named_with_a_cure(services: PushServices) -> None:
    wrong = wns_settings(services).model_copy(update={"client_secret": SecretStr("wrong")})
    (seen,) = await WnsTraits().look(wrong)
    assert "HTTP 401 invalid_client" in seen.text
    assert seen.cure


@pytest.mark.parametrize("traits", [FcmTraits(), HuaweiTraits()], ids=lambda traits: traits.name)
async def test_a_token_that_one_names_is_tried_by_a_push_that_is_not_shown(
    services: PushServices, traits: Traits
) -> None:
    settings = fcm_settings(services) if traits.name == "fcm" else vendor(services, traits)
    token = services.make_handle(traits.platform.value, 1)
    services.by_platform[traits.platform.value].register(token)
    assert texts(await traits.look(settings, push_channel=token))[1:] == ["a dry run is taken; nothing was shown"]
    services.by_platform[traits.platform.value].unregister(token)
    _, refused = await traits.look(settings, push_channel=token)
    assert refused.text.startswith("a dry run is refused: BadChannel")
    assert refused.cure
    assert not services.journal.accepted()


async def test_the_key_that_a_page_subscribes_with_is_told(services: PushServices) -> None:
    (text,) = texts(await WebPushTraits().look(webpush_settings(services)))
    assert text.endswith(services.webpush_credential.public_key)


async def test_what_a_certificate_of_apns_is_for_and_until_when_is_told(services: PushServices) -> None:
    certificate, answer = texts(await traits_of(Platform.APNS).look(settings_of(services)))
    assert certificate.startswith("certificate for com.example.pushbridge, com.example.pushbridge.voip")
    assert answer.endswith("answers a push to no phone, and finds no fault with the credential")


async def test_apple_is_asked_by_a_silent_push_to_no_phone(services: PushServices) -> None:
    settings = apns_settings(services)
    assert texts(await traits_of(Platform.APNS).look(settings)) == [
        f"{services.apns.url} answers a push to no phone, and finds no fault with the credential"
    ]
    assert not services.journal.accepted()


@pytest.mark.parametrize(
    ("changes", "said", "cure"),
    [
        ({"key_id": "ABCDE12345"}, "InvalidProviderToken", "look at key"),
        ({"endpoint": "https://127.0.0.1:1"}, "Unreachable", "can be reached"),
    ],
)
async def test_a_key_that_apple_refuses_and_an_apple_that_is_away_are_named_with_a_cure(
    services: PushServices, changes: dict[str, str], said: str, cure: str
) -> None:
    services.apns.accept_unknown = True
    settings = apns_settings(services).model_copy(update=changes)
    (seen,) = await traits_of(Platform.APNS).look(settings)
    assert said in seen.text
    assert cure in seen.cure
