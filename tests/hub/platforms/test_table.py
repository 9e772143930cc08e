"""The table of push services, and platforms as values."""

import copy
import pickle

import pytest

from hub.notification import PLATFORM_NAMED, Platform
from hub.platforms.apns.traits import ApnsTraits
from hub.platforms.table import platforms, register, services, traits_of
from hub.platforms.traits import Traits
from tests.pigeon.traits import PigeonTraits


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="APNs has a name of APNs already"):
        register(ApnsTraits())
    assert [service.name for service in services()] == [
        "apns",
        "fcm",
        "wns",
        "webpush",
        "adm",
        "xiaomi",
        "huawei",
        "baidu",
        "mpns",
    ]


@pytest.mark.parametrize("traits", [*platforms(), PigeonTraits()], ids=lambda traits: traits.name)
def test_samples_of_a_service_are_what_it_registers_and_each_device_has_a_channel_of_its_own(traits: Traits) -> None:
    channels = {traits.push_channel(traits.sample_push_channel(device)) for device in ("a", "b/c?d=#", "ä" * 200)}
    assert len(channels) == 3
    template = traits.template_body(traits.sample_template, {})
    assert "$(title)" in template.text
    assert "$(body)" in template.text


def test_there_is_one_platform_for_each_name() -> None:
    assert PLATFORM_NAMED["apns"] is Platform("apns") is Platform.APNS
    assert pickle.loads(pickle.dumps(Platform.FCM)) is copy.deepcopy(Platform.FCM) is Platform.FCM


def test_a_stored_name_without_a_service_is_read_and_not_sent_to() -> None:
    gone = Platform("taken-out-of-the-table")
    assert gone.value == "taken-out-of-the-table"
    assert gone not in Platform.declared()
    with pytest.raises(KeyError):
        traits_of(gone)
