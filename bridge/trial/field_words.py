"""Words that names of fields are made of in systems of many makers, by what such a field is likely to hold.

Lower case, as `inference.py` splits names. Where the order matters, the likeliest comes first.
"""

from collections.abc import Sequence


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _ranked(words: str) -> Sequence[str]:
    return tuple(words.split())


ID_WORDS = _set("""
    id uuid guid key no nr number num ref reference docnum code
""")
"""An id, or a number that names something."""

OF_EVENT = _set("""
    event message msg notification alert posting transaction txn evt delivery
""")
"""Beside an id: the id is that of the event itself."""

OF_OTHERS = _set("""
    customer client user account acct employee person member contact owner approver requester tenant company
    merchant supplier vendor product item sku article line device session parent correlation causation trace
    span category site store shop region country currency card iban manager author sender recipient receiver
    phone cost center department plant warehouse carrier tracking schema version app org
""")
"""Beside an id: the id is that of a person, a place or a part of what the event is about."""

THINGS = _set("""
    order invoice ticket case incident shipment claim request booking policy job document task
""")
"""What an event is about; with a digit in its value, such a field alone is an id."""

HAPPENED = _set("""
    time timestamp ts at date datetime on when
""")
"""A time."""

OF_NOW = _set("""
    event occurred created creation happened booked booking posted published
""")
"""Beside a time: when the event happened."""

LATER = _set("""
    expires expiry expiration eta due valid until end deadline birth dob scheduled planned expected estimated
    delivery start arrival departure hire effective value updated modified changed previous last from to
    requested promised version
""")
"""Beside a time: another time than when the event happened."""

TYPES = _ranked("""
    eventtype type event eventname kind action messagetype what state status topic
""")
"""The type of the event, joined as one word."""

USERS = _ranked("""
    user customer employee member approver account client recipient person contact
""")
"""The person whom an event is about."""

TITLES = _ranked("""
    title subject summary name headline description message text body reason what
""")
"""Text for people, joined as one word."""
