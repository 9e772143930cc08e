"""TLS of HTTP/2 connections."""

import os
import ssl
from collections.abc import Callable

from hub.tls import Tls


class Contexts:
    """Contexts: one is made when it is needed first, and again when a file has changed. `current` is for any thread.

    `identity` gives a context a certificate to show that is in no file of its own.
    """

    def __init__(self, tls: Tls, *, identity: Callable[[ssl.SSLContext], None] | None = None) -> None:
        self._tls = tls
        self._identity = identity
        self._made_of: tuple[object, ...] = ()
        self._context: ssl.SSLContext | None = None

    def current(self) -> ssl.SSLContext:
        """Raises: OSError: a file is gone, or holds something else by now."""
        files = [file for file in (self._tls.ca_file, self._tls.cert, self._tls.key) if file is not None]
        made_of = tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in map(os.stat, files))
        if self._context is None or made_of != self._made_of:
            context = self._tls.client_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.options |= ssl.OP_NO_RENEGOTIATION  # forbidden in HTTP/2 (RFC 9113, section 9.2.1)
            context.set_alpn_protocols(["h2", "http/1.1"])
            if self._identity is not None:
                self._identity(context)
            self._context, self._made_of = context, made_of
        return self._context
