"""Subscriptions of browsers that pass for real ones: keys as browsers make them, which nobody holds the private half of."""

import json

P256DH = "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
AUTH = "AAECAwQFBgcICQoLDA0ODw"


def subscription(endpoint: str, *, p256dh: str = P256DH, auth: str = AUTH) -> str:
    """A push channel as it is stored."""
    return json.dumps({"endpoint": endpoint, "p256dh": p256dh, "auth": auth}, separators=(",", ":"))
