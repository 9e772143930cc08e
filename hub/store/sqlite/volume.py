"""On what a store's file lies: the file system, its mount, and whether what is written there survives."""

import os
import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")

_MEMORY = frozenset(["tmpfs", "ramfs", "devtmpfs"])
_LAYER = frozenset(["overlay", "overlayfs", "aufs"])
_NETWORK = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ocfs2",
        "gfs2",
    ]
)
_NETWORK_FUSE = frozenset(["fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.ceph", "fuse.gcsfuse"])


class VolumeKind(Enum):
    """What a file system promises to a database."""

    DISK = "disk"
    MEMORY = "memory"
    """Gone when the machine or the container stops."""
    LAYER = "layer"
    """A container's own: gone when the container is removed."""
    NETWORK = "network"
    """Locks and syncs are another machine's, and many do not keep what SQLite asks of them."""
    UNKNOWN = "unknown"


VOLUME_WARNINGS = {
    VolumeKind.LAYER: "a container's own layer, which is lost with the container: mount a volume",
    VolumeKind.NETWORK: "a network file system, which may lose commits or locks: use a disk of this machine",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A mounted file system; `file_system` is the system's name for its type, empty where it is not known."""

    mount: str
    file_system: str
    kind: VolumeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSpace:
    """Bytes of a database, of the log beside it, and those that are free for them on their file system."""

    database: int
    log: int
    free: int


def space_of(path: Path) -> StoreSpace:
    """A file that is not there takes nothing. Raises: OSError."""
    path = path.resolve()
    return StoreSpace(
        database=_size(path),
        log=_size(path.with_name(f"{path.name}-wal")),
        free=shutil.disk_usage(path.parent).free,
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def volume_of(path: Path, *, mounts: Path = _MOUNTS) -> Volume:
    """What `path`, or the nearest directory above it that is there, lies on. Raises: OSError."""
    there = path.resolve()
    while not there.exists():
        there = there.parent
    device = os.stat(there).st_dev
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:  # no Linux
        return Volume(mount="", file_system="", kind=VolumeKind.UNKNOWN)
    found = [mount for mount in map(_mount_of, lines) if there.is_relative_to(mount[1])]
    # The last of the deepest is what hides the others. A device that fits is better than none: it may have none of its own.
    number = f"{os.major(device)}:{os.minor(device)}"
    _, mount, file_system = max(
        reversed(found), key=lambda mount: (mount[0] == number, len(mount[1])), default=("", "", "")
    )
    return Volume(mount=mount, file_system=file_system, kind=_kind_of(file_system))


def _mount_of(line: str) -> tuple[str, str, str]:
    """(device, mount point, file system) of a line of mountinfo (proc(5))."""
    before, _, after = line.partition(" - ")
    _, _, device, _, mount, *_ = before.split(" ")
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        mount = mount.replace(code, character)
    return device, mount, after.split(" ", 1)[0]


def _kind_of(file_system: str) -> VolumeKind:
    if file_system in _MEMORY:
        return VolumeKind.MEMORY
    if file_system in _LAYER:
        return VolumeKind.LAYER
    if file_system in _NETWORK or file_system in _NETWORK_FUSE:
        return VolumeKind.NETWORK
    return VolumeKind.DISK if file_system else VolumeKind.UNKNOWN
