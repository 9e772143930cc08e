"""The stages of the daemon's work that its heartbeat passes, in the order in which an event does."""

from hub.explained import Explained


class HeartbeatStage(Explained):
    """A part of the daemon's work; the label `stage` of `pushbridge_heartbeat_last_seen_timestamp_seconds`."""

    ROUTE = "route", "A large event is read, mapped, met by a rule and rendered, beside the event loop."
    STORE = "store", "An event without a notification is accepted: a durable write of the store."
    CLAIM = "claim", "Work that is due is looked for in the store, by the lanes of single pushes and of broadcasts."
    SEND = "send", "Of the work that was handed to push services and remote hubs, some is answered; or there is none."
    RECORD = "record", "What became of pushes is written to the store."
    SUM = "sum", "The pages of broadcasts are summed, and broadcasts ended."
    COUNT = "count", "What waits is counted, and breakers whose pause is over are looked at."
    BOOKS = "books", "Whether what was accepted has ended or is on its way is looked at."
    WATCH = "watch", "Calls of the store that hang or fail are looked for."
    TEND = "tend", "What the process owns in the store is renewed, and scheduled work is released."
    QUOTAS = "quotas", "What was pushed to services that have a quota is shared with the other processes."
    SINKS = "sinks", "Reports that wait for sinks are measured and kept within their bounds."
    FOLLOW_UPS = "follow_ups", "Phones that have not opened a push are looked for."
    HOUSEKEEPING = "housekeeping", "What is past its time is dropped."
