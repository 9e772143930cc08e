"""Why the event loop was held: a closed set of names."""

from hub.explained import Explained


class LoopHold(Explained):
    """The label `cause` of `pushbridge_event_loop_held_seconds_total`."""

    COMPUTED = (
        "computed",
        "The loop's thread computed for half of the time, or as long as the bound: one step is too long.",
    )
    WAITED = "waited", "The loop's thread waited while the process went on: for a disk, a lock or another thread."
    STOPPED = (
        "stopped",
        "The whole process came to no turn: the machine was short of processors, the process was stopped, or another"
        " thread kept the interpreter.",
    )
