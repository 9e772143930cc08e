"""Exit codes: one table for all commands.

0 done · 1 the configuration or a test has mistakes, a test failed, too little is covered, or the demo did not go as
intended · 2 wrong arguments · 3 could not start (store locked or unreadable, address in use), or no daemon answers · 4
a part failed while running, which the log names, a second signal cut the end off, or `status` found the process not
ready, or `doctor` found what does not work · 5 the daemon refused, and its answer says why, or who was asked for
consent refused · 6 the store's disk lost what was written, or its file was deleted or replaced while the daemon ran: the
log says which, and another start may go on
"""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    MISTAKES = 1
    WRONG_ARGUMENTS = 2
    CANNOT_START = 3
    FAILED = 4
    REFUSED = 5
    STORE_BROKEN = 6
