"""Jobs as XML in Atom entries (Notification Hubs REST API, "Create an import or export job")."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hub.api.wire.atom import DESCRIPTION_NAMESPACES, Described
from hub.characters import escape_xml
from hub.dates import format_date
from hub.errors import InvalidRequestError
from hub.job import Job, JobStatus, JobType
from hub.jobs.places import FAILED, OUTPUT, shown_blob

if TYPE_CHECKING:
    from lxml import etree

ELEMENT = "NotificationHubJob"

_ARRAYS = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
_TYPES = {each.value.lower(): each for each in JobType}
_FILES = (("OutputFilePath", OUTPUT), ("FailedFilePath", FAILED))
_MAX_PROPERTIES = 50


def job_from(described: Described, *, hub: str) -> Job:
    """The job that a client describes, without id and times. Raises: InvalidRequestError."""
    if described.name != ELEMENT:
        raise InvalidRequestError(f"Expected a {ELEMENT}, found {described.name[:60]!r}")
    type_ = _TYPES.get(described.text("Type").lower())
    if type_ is None:
        raise InvalidRequestError(f"Type: expected one of {', '.join(each.value for each in JobType)}")
    output, imported = described.text("OutputContainerUri"), described.text("ImportFileUri")
    if not output:
        raise InvalidRequestError("OutputContainerUri is missing")
    if type_.is_import and not imported:
        raise InvalidRequestError(f"ImportFileUri is missing, and {type_.value} reads it")
    return Job(
        id="",
        hub=hub,
        type=type_,
        output_container_uri=output,
        import_file_uri=imported if type_.is_import else "",
        input_properties=_properties(described.members.get("InputProperties")),
    )


def _properties(element: "etree._Element | None") -> dict[str, str]:
    found: dict[str, str] = {}
    for item in () if element is None else element.iterchildren("*"):
        key, value = item.findtext("{*}Key"), item.findtext("{*}Value")
        if key:
            found[key] = value or ""
    if len(found) > _MAX_PROPERTIES:
        raise InvalidRequestError(f"InputProperties: up to {_MAX_PROPERTIES} are allowed")
    return found


def job_xml(job: Job) -> str:
    """Compact, in the data contract's order; a job that waits has neither status nor progress."""
    files = {key: shown_blob(job, name) for key, name in _FILES} if job.status is JobStatus.COMPLETED else {}
    members = [
        ("JobId", escape_xml(job.id)),
        ("Progress", f"{job.progress:g}" if job.progress else ""),
        ("Type", job.type.value),
        ("Status", "" if job.status is JobStatus.STARTED else job.status.value),
        ("OutputContainerUri", escape_xml(job.output_container_uri)),
        ("ImportFileUri", escape_xml(job.import_file_uri)),
        ("InputProperties", _pairs(job.input_properties)),
        ("Failure", escape_xml(job.failure)),
        ("OutputProperties", _pairs(files)),
        ("CreatedAt", _moment(job.created_at)),
        ("UpdatedAt", _moment(job.updated_at)),
    ]
    texts = "".join(_member(name, text) for name, text in members if text)
    return f"<{ELEMENT} {DESCRIPTION_NAMESPACES}>{texts}</{ELEMENT}>"


def _member(name: str, text: str) -> str:
    namespace = f' xmlns:d3p1="{_ARRAYS}"' if name.endswith("Properties") else ""
    return f"<{name}{namespace}>{text}</{name}>"


def _pairs(properties: Mapping[str, str]) -> str:
    """With the prefix that two SDKs look for, whatever namespace it stands for."""
    return "".join(
        f"<d3p1:KeyValueOfstringstring><d3p1:Key>{escape_xml(key)}</d3p1:Key>"
        f"<d3p1:Value>{escape_xml(value)}</d3p1:Value></d3p1:KeyValueOfstringstring>"
        for key, value in properties.items()
    )


def _moment(at: float) -> str:
    return format_date(datetime.fromtimestamp(at, UTC))
