"""Notifications on their way: accepted, taken, recorded. Read `outbox.py` first; `in_hand.py` is what is taken.

`parts` is what a process does, an object a subject, over what it owns (`sql_queues.py`) and what waits (`open_work.py`).
Each other room claims or reads, decides by a function of `hub/store/decide/`, and writes what that says, over a
`Connection`.
"""
