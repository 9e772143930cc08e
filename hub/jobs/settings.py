"""Which containers jobs may use, and how they are reached."""

from hub.egress import Egress, NoProxy
from hub.transport.blob_access import BlobAccess


class JobSettings(Egress):
    """Where the import and export jobs of a hub may read and write: clients with the right Manage name the containers."""

    hosts: NoProxy = ()
    """Hosts of containers, then the only ones, private ones and plain HTTP included; without: any public host by HTTPS."""

    @property
    def access(self) -> BlobAccess:
        return BlobAccess(self.hosts)


NO_HOSTS_NAMED = JobSettings()
