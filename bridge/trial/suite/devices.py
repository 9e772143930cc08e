"""The devices of a test as installations of its hubs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.config.models.hubs import HubSettings
from bridge.trial.suite.models import GivenDevice, GivenTemplate
from hub.installation import Installation
from hub.platforms.table import services
from hub.platforms.traits import Traits
from hub.registry.documents import installation_from_document


def installations_of(
    device: GivenDevice, hubs: Mapping[str, HubSettings], of: Sequence[str]
) -> Sequence[tuple[str, Installation]]:
    """A device in each of the hubs named, as its app would register it there. Raises: InvalidRequestError."""
    return [(hub, _installation(device, _service(device, hubs[hub]))) for hub in of]


def _service(device: GivenDevice, hub: HubSettings) -> Traits:
    """The push service named, else the first that the hub has a credential for, else the first of all."""
    if device.platform is not None:
        return next(each for each in services() if each.name == device.platform)
    configured = hub.platforms.configured
    return next((each for each in services() if each.platform in configured), next(iter(services())))


def _installation(device: GivenDevice, service: Traits) -> Installation:
    is_bare = device.locale is not None or "templates" in device.model_fields_set
    sample = {} if is_bare else {"sample": GivenTemplate(body=service.sample_template)}
    templates = device.templates or sample
    document = {
        "platform": service.platform.value,
        "pushChannel": device.push_channel or service.sample_push_channel(device.id),
        "userId": device.user,
        "tags": list(device.tags),
        "locale": device.locale,
        "timeZone": device.tz,
        "templates": {name: _template(template) for name, template in templates.items()},
    }
    return installation_from_document(device.id, document)


def _template(template: GivenTemplate) -> Mapping[str, Any]:
    body = template.body if isinstance(template.body, str) else json.dumps(template.body, ensure_ascii=False)
    return {"body": body, "headers": template.headers, "expiry": template.expiry, "tags": list(template.tags)}
