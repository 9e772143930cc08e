"""NotificationOutcome as XML: what became of a test send (Notification Hubs REST API, "Test send")."""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.api.wire.atom import DESCRIPTION_NAMESPACES
from hub.characters import escape_xml


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One registration of a test send; `registration_id` is `-` where there is none.

    No text is empty, for one SDK fails on it.
    """

    application_platform: str
    pns_handle: str
    registration_id: str
    outcome: str
    is_success: bool


def outcome_xml(results: Sequence[Tested]) -> str:
    """Compact, in the data contract's order."""
    successes = sum(each.is_success for each in results)
    texts = "".join(
        f"<RegistrationResult><ApplicationPlatform>{escape_xml(each.application_platform)}</ApplicationPlatform>"
        f"<PnsHandle>{escape_xml(each.pns_handle)}</PnsHandle>"
        f"<RegistrationId>{escape_xml(each.registration_id)}</RegistrationId>"
        f"<Outcome>{escape_xml(each.outcome)}</Outcome></RegistrationResult>"
        for each in results
    )
    return (
        f"<NotificationOutcome {DESCRIPTION_NAMESPACES}><Success>{successes}</Success>"
        f"<Failure>{len(results) - successes}</Failure><Results>{texts}</Results></NotificationOutcome>"
    )
