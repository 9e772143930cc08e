"""The token with which a phone or an app asks a notification hub (a shared access signature)."""

import base64
import hashlib
import hmac
from datetime import datetime
from urllib.parse import quote


def shared_access_signature(uri: str, *, key_name: str, key: str, expires_at: datetime) -> str:
    """The value of an Authorization header for `uri` and everything below it.

    The text signed is the URI as it is transmitted, percent-encoded, and the expiry, as every SDK does it.
    Standard behind it: Microsoft, "Generate SAS token" for Azure Service Bus.
    """
    resource = quote(uri.lower(), safe="")
    expiry = int(expires_at.timestamp())
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    signature = quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={quote(key_name, safe='')}"
