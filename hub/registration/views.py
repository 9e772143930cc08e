"""Phones and topics as JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hub.dates import format_date
from hub.phone import Topics
from hub.registration.service import Answer
from hub.topics import Levels


def phone_document(answer: Answer) -> dict[str, Any]:
    """A phone for its own user; its push channel and tags stay here."""
    phone = answer.phone
    assert phone.sign_in is not None
    return {
        "registrationId": phone.registration_id,
        "phone": phone.id,
        "platform": phone.sign_in.platform.value,
        "expiresAt": format_date(datetime.fromtimestamp(phone.expires_at, UTC)),
        "pushVariables": dict(phone.sign_in.push_variables),
        "topics": _topics(answer.topics),
    }


def topics_document(topics: Mapping[str, Levels]) -> dict[str, Any]:
    """The topics that there are."""
    return {name: {"levels": [_number(each) for each in levels]} if levels else {} for name, levels in topics.items()}


def _topics(topics: Topics) -> dict[str, Any]:
    return {name: {"level": _number(Decimal(level))} if level else {} for name, level in sorted(topics.items())}


def _number(level: Decimal) -> int | float:
    return int(level) if level == level.to_integral_value() else float(level)
