"""HTTP in the table of connectors."""

from collections.abc import Mapping

from connectors.connector import Capacity, Connector, SinkRoute
from connectors.http.publisher import HttpPublisher
from connectors.http.settings import HttpSettings, SinkUrl
from connectors.http.source import HttpSource

META: Mapping[str, str] = {
    "path": "The path that the request was posted to.",
    "content_type": "The MIME type of the body; of an event in a batch, that of the event.",
    "message_id": "The id from a header or the event itself, which identifies the event unless `map.id` does.",
}


def _source(name: str, settings: HttpSettings, capacity: Capacity) -> HttpSource:
    return HttpSource(
        name,
        settings,
        store_fails=capacity.store_fails,
        has_room=capacity.has_room,
        admit=capacity.admit,
        ahead=capacity.ahead,
        max_body=capacity.max_body,
    )


def _brings_cloudevents(settings: HttpSettings) -> bool:
    return settings.format == "cloudevents"


HTTP = Connector(
    key="http",
    title="HTTP",
    doc="Requests posted to a path of a listener: webhooks, CloudEvents, Event Grid.",
    settings=HttpSettings,
    make_source=_source,
    meta=META,
    sample='{ path: /in/NAME, auth: { bearer: "${env:NAME_TOKEN:-change-me}" } }',
    is_posted_to=True,
    keeps_dead_letters=False,
    sink=SinkRoute(
        doc="A URL that each report is posted to, signed as Standard Webhooks says.",
        settings=SinkUrl,
        make_publisher=HttpPublisher,
        destination=lambda settings: settings.url,
        behind=SinkUrl.behind,
    ),
    brings_cloudevents=_brings_cloudevents,
    main_setting="path",
    old_paths={"limits.in_flight": "receive.max_in_flight"},
    behind=HttpSettings.behind,
    later={("auth",): ("entra",)},
)
