"""The push services that there are: a line each, and a folder beside this file; `kept.py` has platforms without one."""

from collections.abc import Collection

from hub.notification import Platform
from hub.platforms.adm.traits import AdmTraits
from hub.platforms.apns.traits import ApnsTraits
from hub.platforms.baidu.traits import BaiduTraits
from hub.platforms.fcm.traits import FcmTraits
from hub.platforms.huawei.traits import HuaweiTraits
from hub.platforms.kept import KEPT
from hub.platforms.mpns.traits import MpnsTraits
from hub.platforms.traits import Traits
from hub.platforms.webpush.traits import WebPushTraits
from hub.platforms.wns.traits import WnsTraits
from hub.platforms.xiaomi.traits import XiaomiTraits

_TRAITS: dict[Platform, Traits] = {}


def register(traits: Traits) -> None:
    """Add a service; before `bridge.config` is imported, which makes a section of each that is there.

    Raises: ValueError: another service has one of its names.
    """
    for other in _TRAITS.values():
        if traits.platform is other.platform or traits.name == other.name or traits.wire_format == other.wire_format:
            raise ValueError(f"the push service {other.title} has a name of {traits.title} already")
    _TRAITS[traits.platform] = traits
    Platform.declare(traits.platform)


for _line in (
    ApnsTraits(),
    FcmTraits(),
    WnsTraits(),
    WebPushTraits(),
    AdmTraits(),
    XiaomiTraits(),
    HuaweiTraits(),
    BaiduTraits(),
    MpnsTraits(),
):
    register(_line)


_KEPT: dict[Platform, Traits] = {traits.platform: traits for traits in KEPT}
for _platform in _KEPT:
    Platform.keep(_platform)


def services() -> Collection[Traits]:
    """The push services, in the order of the table."""
    return _TRAITS.values()


def platforms() -> Collection[Traits]:
    """All that phones may be registered for: of the push services, and then of those that have no sender."""
    return (*_TRAITS.values(), *(traits for platform, traits in _KEPT.items() if platform not in _TRAITS))


def traits_of(platform: Platform) -> Traits:
    """Raises: KeyError: its service was taken out of the table."""
    return _TRAITS[platform] if platform in _TRAITS else _KEPT[platform]
