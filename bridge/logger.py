"""structlog, imported without rich: a daemon that writes JSON has no use for it, and it takes 4 MB.

structlog imports rich where it is installed, to draw tracebacks. Those show the values of local variables as well, which
may be personal data; without rich structlog writes plain ones.
"""

import sys

_RICH = "rich"

if _RICH in sys.modules:
    import structlog
else:
    sys.modules[_RICH] = None  # type: ignore[assignment]  # what Python takes for "cannot be imported"
    try:
        import structlog
    finally:
        del sys.modules[_RICH]  # the command line draws its tables with it

__all__ = ["structlog"]
