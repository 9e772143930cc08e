"""Where the files of a job are."""

from hub.job import Job

OUTPUT, FAILED = "Output.txt", "Failed.txt"


def blob_of(job: Job, name: str) -> str:
    """The URL of a file in the job's container, with the container's signature where it has one.

    The second slash is the service's: SDKs show the path as it is.
    """
    container, question, signature = job.output_container_uri.partition("?")
    return f"{container.rstrip('/')}//{job.hub}/{job.id}/{name}{question}{signature}"


def shown_blob(job: Job, name: str) -> str:
    """The same without the signature."""
    return blob_of(job, name).partition("?")[0]
