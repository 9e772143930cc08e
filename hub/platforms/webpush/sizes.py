"""How large a message may be; apart from the encryption, which `check` does not need."""

from typing import Final

MAX_BODY: Final = 4096  # bytes, which every push service has to take (RFC 8030, section 7.2)

OVERHEAD: Final = 16 + 4 + 1 + 65 + 1 + 16
"""Bytes that encryption adds (RFC 8188, section 2): salt, record size, length of the key, key, delimiter and tag."""

MAX_MESSAGE: Final = MAX_BODY - OVERHEAD
