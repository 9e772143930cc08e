"""Notifications on their way: accepted, taken, recorded. Read `outbox.py` first; `in_hand.py` is what is taken.

Each room claims or reads, decides by a function of `hub/store/decide/`, and writes what that says, over a `Connection`.
"""
