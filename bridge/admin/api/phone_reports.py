"""What a phone said of a push, as the management API shows it."""

from collections.abc import Sequence
from datetime import datetime

from bridge.admin.api.operation import Model, instant
from hub.phone_report import KeptReport


class ReportModel(Model):
    """A report of the phone: received, opened, or acted with the action's name; `at` is when it came."""

    event: str
    action: str
    at: datetime


def report_models(reports: Sequence[KeptReport]) -> list[ReportModel]:
    return [ReportModel(event=each.event.value, action=each.action, at=instant(each.at)) for each in reports]
