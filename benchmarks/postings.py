"""The events of the benchmarks: postings of a bank, the rule that each fires, and the one phone that it reaches."""

from collections.abc import Mapping
from typing import Any

SOURCE: Mapping[str, Any] = {
    "decode": {"format": "json"},
    "map": {"id": "{{ data.id }}", "type": "bank.posting.{{ data.kind }}"},
}
"""How a source reads them, besides its broker."""

RULE: Mapping[str, Any] = {
    "name": "debit",
    "source": "bank",
    "match": {"type": "bank.posting.debit", "data": {"amount": {"gte": 100}}},
    "push": {
        "to": {"user": "{{ data.customer }}"},
        "with": {"title": "Card debit {{ data.amount }}", "body": "{{ data.merchant.name }}"},
    },
}


def posting(number: int, phones: int) -> bytes:
    """The event of a number as JSON: 150 bytes, for one of so many phones."""
    return (
        f'{{"id":"{number}","kind":"debit","customer":"u{number % phones}","amount":{100 + number % 900},'
        f'"currency":"CHF","account":"CH93-0076-2011","merchant":{{"name":"Shop {number % 50}","city":"Basel"}}}}'
    ).encode()
