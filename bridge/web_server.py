"""uvicorn, imported without its command line, which brings click and multiprocessing: 1.5 MB of a daemon's own pages.

uvicorn's package imports `uvicorn.main` for three names. `Server` is put there from its own file. `main` and `run` are the
command line, and are missing: who wants to run it imports `uvicorn.main`.
"""

from types import ModuleType

from bridge.imports import standing_in

_command_line = ModuleType("uvicorn.main")
for _name in ("Server", "main", "run"):
    setattr(_command_line, _name, None)

with standing_in("uvicorn.main", _command_line):
    import uvicorn

if uvicorn.Server is None:  # the whole package was not imported before
    from uvicorn.server import Server

    uvicorn.Server = Server  # type: ignore[misc]
    del uvicorn.main, uvicorn.run

from uvicorn._types import ASGI3Application  # noqa: E402 - each imports the package first
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle  # noqa: E402

__all__ = ["ASGI3Application", "HttpToolsProtocol", "RequestResponseCycle", "uvicorn"]
