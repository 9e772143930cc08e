"""structlog, imported without rich: a daemon that writes JSON has no use for it, and it takes 4 MB.

structlog imports rich where it is installed, to draw tracebacks. Those show the values of local variables as well, which
may be personal data; without rich structlog writes plain ones. The command line draws its tables with rich all the same.
"""

from bridge.imports import standing_in

with standing_in("rich", None):
    import structlog

__all__ = ["structlog"]
