"""The table of push services, and platforms as values."""

import copy
import pickle

import pytest

from hub.notification import PLATFORM_NAMED, Platform
from hub.platforms.apns.traits import ApnsTraits
from hub.platforms.table import register, services, traits_of


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="APNs has a name of APNs already"):
        register(ApnsTraits())
    assert [service.name for service in services()] == ["apns", "fcm", "wns"]


def test_there_is_one_platform_for_each_name() -> None:
    assert PLATFORM_NAMED["apns"] is Platform("apns") is Platform.APNS
    assert pickle.loads(pickle.dumps(Platform.FCM)) is copy.deepcopy(Platform.FCM) is Platform.FCM


def test_a_stored_name_without_a_service_is_read_and_not_sent_to() -> None:
    gone = Platform("taken-out-of-the-table")
    assert gone.value == "taken-out-of-the-table"
    assert gone not in Platform.declared()
    with pytest.raises(KeyError):
        traits_of(gone)
