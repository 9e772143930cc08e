"""What a hub has to know to push through Xiaomi Mi Push: an app as Xiaomi's console shows it."""

from typing import Annotated, Final

from pydantic import Field

from hub.platforms.settings import PlatformSettings, Secret, Url

ENDPOINT: Final = "https://api.xmpush.xiaomi.com"


class XiaomiSettings(PlatformSettings):
    """Mi Push for one app. Phones outside China are reached through another endpoint, if at all (unconfirmed)."""

    app_secret: Secret
    """The AppSecret that the console shows beside the app id: requests are authorized by it."""
    package_name: Annotated[str, Field(min_length=1)]
    """The Android package that gets the pushes, such as com.acme.bank; a push names it."""
    endpoint: Url = ENDPOINT
    """An address in place of Xiaomi's in China: https://api.xmpush.global.xiaomi.com, a region's, or a stand-in's."""
