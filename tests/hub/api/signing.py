"""Signs tokens by the book, apart from the code under test; the tests of single SDKs write theirs out."""

import base64
import hashlib
import hmac
from urllib.parse import quote

KEY = "pU5hbridge+key/with=odd&characters=="
OTHER_KEY = "the secondary key"
EXPIRY = 1896109506  # 2030-01-31T17:05:06Z, an hour after the tests' now


def sign(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def token(policy: str, *, key: str = KEY, resource: str = "https://ns.example/", expiry: int = EXPIRY) -> str:
    sr = quote(resource, safe="")
    sig = quote(sign(key.encode(), f"{sr}\n{expiry}"), safe="")
    return f"SharedAccessSignature sr={sr}&sig={sig}&se={expiry}&skn={quote(policy)}"
