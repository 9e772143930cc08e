"""What a hub has to know to push through Baidu Cloud Push: an app as Baidu's console showed it."""

from typing import Annotated, Final

from pydantic import Field

from hub.platforms.settings import PlatformSettings, Secret, Url

ENDPOINT: Final = "https://api.tuisong.baidu.com"


class BaiduSettings(PlatformSettings):
    """Baidu Cloud Push, which Azure deprecated: whether Baidu still takes pushes is unconfirmed."""

    api_key: Annotated[str, Field(min_length=1)]
    """The API key that the console shows for the app; each request names it."""
    secret_key: Secret
    """The secret key of the app, which signs each request."""
    endpoint: Url = ENDPOINT
    """An address in place of Baidu's, such as a stand-in."""
