"""What the hub asks of a store: five contracts, and nothing in them assumes one process, one database or one clock.

Read `outbox.py` first. All contracts keep the same rules:

- A write returns when it is durable. A write that raises `StoreError` changed nothing and may be repeated as it is.
- A read sees every write that returned before the read began.
- Durations go in, in seconds, never a caller's time of day: the store has the clock. Times that come out are the store's,
  in seconds since 1970 UTC (float). Times that a user named (`schedule_at`, `expires_at`) are part of the notification.
- Hub names are in lower case.
"""
