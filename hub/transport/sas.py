"""Shared access signatures as they are made (Azure Service Bus, "Shared Access Signature token").

    SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={policy}

The signature is base64 of HMAC-SHA256 over `sr`, a newline and `se`, both exactly as sent, `sr` still percent-encoded.
"""

import base64
import hashlib
import hmac
from urllib.parse import quote


def token_for(policy: str, key: str, *, url: str, expires_at: int) -> str:
    """The `Authorization` header for `url` and all below it; `expires_at` in seconds since 1970.

    Spaces are percent-encoded: a `+` would be read as one.
    """
    resource = quote(url.lower(), safe="")
    signature = quote(signature_for(key, resource, str(expires_at)), safe="")
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expires_at}&skn={quote(policy, safe='')}"


def signature_for(key: str, resource: str, expiry: str) -> str:
    """What `sig` is before it is percent-encoded; `resource` and `expiry` as they stand in the token."""
    # A header is read as Latin-1, so this gives back the very bytes that were signed.
    signed = f"{resource}\n{expiry}".encode("latin-1", "replace")
    return base64.b64encode(hmac.digest(key.encode(), signed, hashlib.sha256)).decode()
