"""What a hub has to know to push through Huawei Push Kit: an app as AppGallery Connect shows it."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from hub.platforms.settings import PlatformSettings, Secret, Url

ENDPOINT: Final = "https://push-api.cloud.huawei.com"
TOKEN_URL: Final = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"  # noqa: S105 - an address


def _app_id(text: str) -> str:
    if not re.fullmatch("[0-9]+", text):
        raise ValueError("expected digits, as AppGallery Connect shows them")
    return text


class HuaweiSettings(PlatformSettings):
    """Push Kit for one app, with the app's own client secret.

    `endpoint` and `token_url` replace Huawei's; `tls` and `proxy` hold for both.
    """

    app_id: Annotated[str, AfterValidator(_app_id)]
    """The App ID, which is the client id too."""
    client_secret: Secret
    """The client secret that AppGallery Connect shows; access tokens are asked for with it."""
    endpoint: Url = ENDPOINT
    """An address in place of Huawei's, such as a stand-in."""
    token_url: Url = TOKEN_URL
    """Where access tokens are asked for."""
