"""On what a store's file lies: the file system, its mount, and whether what is written there survives."""

import os
import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

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
    POD = "pod"
    """An emptyDir of Kubernetes: gone when its pod moves, or is replaced."""
    NETWORK = "network"
    """Locks and syncs are another machine's, and many do not keep what SQLite asks of them."""
    UNKNOWN = "unknown"


_POD_VOLUME = "/volumes/kubernetes.io~empty-dir/"
"""In the directory of its file system that a mount shows: where kubelet keeps an emptyDir of a pod."""

LOST_WITH = {
    VolumeKind.MEMORY: "the machine",
    VolumeKind.LAYER: "the container",
    VolumeKind.POD: "the pod",
}
"""File systems that are ephemeral, by what takes their files along."""

VOLUME_WARNINGS = {
    VolumeKind.POD: "an emptyDir, which is lost with its pod: mount a volume",
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
    found = [mount for mount in map(_mount_of, lines) if there.is_relative_to(mount.point)]
    # The last of the deepest is what hides the others. A device that fits is better than none: it may have none of its own.
    number = f"{os.major(device)}:{os.minor(device)}"
    mount = max(
        reversed(found), key=lambda mount: (mount.device == number, len(mount.point)), default=_Mount("", "", "", "")
    )
    return Volume(mount=mount.point, file_system=mount.file_system, kind=_kind_of(mount))


class _Mount(NamedTuple):
    """A line of mountinfo (proc(5)); `root` is the directory of the file system that is mounted at `point`."""

    device: str
    root: str
    point: str
    file_system: str


def _mount_of(line: str) -> _Mount:
    before, _, after = line.partition(" - ")
    _, _, device, root, point, *_ = before.split(" ")
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        root, point = root.replace(code, character), point.replace(code, character)
    return _Mount(device, root, point, after.split(" ", 1)[0])


def refusal(volume: Volume, *, allow_ephemeral: bool, must_last: bool) -> str:
    """Why a store is not opened there, and the cure; empty where it is.

    With `must_last` the store has what nobody else has any more: the outbox of a hub with `durability: local`.
    """
    refused = LOST_WITH if must_last else {VolumeKind.MEMORY: LOST_WITH[VolumeKind.MEMORY]}
    if allow_ephemeral or volume.kind not in refused:
        return ""
    article = "an" if volume.file_system[:1] in "aeiou" else "a"
    file_system = "an emptyDir" if volume.kind is VolumeKind.POD else f"{article} {volume.file_system}"
    said = f"{volume.mount} is {file_system}, which is lost with {refused[volume.kind]}: name a file on a disk, "
    if must_last:
        said += "set hubs.NAME.remote.durability: remote, which needs none, "
    return f"{said}or set bridge.store.allow_ephemeral"


def _kind_of(mount: _Mount) -> VolumeKind:
    file_system = mount.file_system
    if file_system in _MEMORY:
        return VolumeKind.MEMORY
    if file_system in _LAYER:
        return VolumeKind.LAYER
    if _POD_VOLUME in f"{mount.root}/":
        return VolumeKind.POD
    if file_system in _NETWORK or file_system in _NETWORK_FUSE:
        return VolumeKind.NETWORK
    return VolumeKind.DISK if file_system else VolumeKind.UNKNOWN
