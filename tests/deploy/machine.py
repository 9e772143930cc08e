"""A container without an engine: the image's steps run in a copy of this machine's files, its process in namespaces.

The layers of an image are directories that overlayfs lays over this machine's root directory, which stands in for the
base image: it has Python and Debian's tools as that one has. The process gets a root directory that cannot be written,
the image's user, and a network of its own with one cable to a neighbour, from which it is looked at.
"""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.dockerfile import PATH, PYTHON, Stage, Step

CONTAINER, NEIGHBOUR = "10.77.0.2", "10.77.0.1"
"""Addresses at the two ends of the cable; they exist in namespaces of the test alone."""

_OF_THE_MACHINE = ("proc", "dev", "sys")


def build(stages: Sequence[Stage], context: Path, directory: Path) -> Path:
    """Run all steps of all stages; returns the directory with what the last one laid over this machine's files.

    Raises: subprocess.CalledProcessError if a step fails; what the step said is on standard error.
    """
    lines: list[str] = []
    layers: dict[str, Path] = {}
    for stage in stages:
        layer = layers[stage.name] = directory / (stage.name or "last")
        lines += [*_laid_over(layer), *_base(layer / "tree")]
        for step in stage.steps:
            origin = layers[step.stage] / "tree" if step.stage else context
            lines += _run_step(step, layer / "tree") if step.command else _copy_step(step, layer / "tree", origin)
    subprocess.run(namespaces("--mount", "bash", str(_script(directory / "build.sh", lines))), check=True)
    return layer / "upper"


def _script(file: Path, lines: Sequence[str]) -> Path:
    file.write_text("\n".join(["set -e", "mount --make-rprivate /", *lines, ""]))
    return file


def namespaces(*arguments: str) -> list[str]:
    """Root makes namespaces as it likes; everybody else begins with one of users, in which it is root."""
    return ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), *arguments]


def _laid_over(layer: Path) -> list[str]:
    for name in ("upper", "work", "tree"):
        (layer / name).mkdir(parents=True)
    options = f"lowerdir=/,upperdir={layer}/upper,workdir={layer}/work"
    return [
        f"mount -t overlay overlay -o {options} {layer}/tree",
        *(f"mount --rbind /{name} {layer}/tree/{name}" for name in _OF_THE_MACHINE),
    ]


def _base(root: Path) -> list[str]:
    """What the base image has and this machine may not: `python`, where everybody may run it. And what this one alone has:
    bytecode of the standard library, of which one package stands for all."""
    closed = [folder for folder in (PYTHON, *PYTHON.parents) if folder.stat().st_mode & 0o005 != 0o005]
    link = f"ln -sn python{sys.version_info[0]}.{sys.version_info[1]} {root}{PYTHON}/python"
    return [
        *(f"chmod o+rx {root}{folder}" for folder in closed),
        f"[ -e {root}{PYTHON}/python ] || {link}",
        f"rm -rf {root}{Path(asyncio.__file__).parent}/__pycache__",
    ]


def _run_step(step: Step, root: Path) -> list[str]:
    command = f"cd {step.directory} && {step.command}"
    variables = _environment({"HOME": "/root", **step.environment})
    return [f"chroot {root} {shlex.join(variables)} /bin/sh -ec {shlex.quote(command)}"]


def _copy_step(step: Step, root: Path, origin: Path) -> list[str]:
    *sources, target = step.words
    place = f"{root}/{os.path.normpath(os.path.join(step.directory, target)).lstrip('/')}"
    lines = [f"mkdir -p {place if target.endswith('/') else os.path.dirname(place)}"]
    for source in sources:
        path = f"{origin}/{source.lstrip('/')}"
        # of a directory Docker copies what is in it
        lines.append(f"if [ -d {path} ]; then mkdir -p {place} && cp -a {path}/. {place}/; else cp {path} {place}; fi")
    return lines


def _environment(variables: Mapping[str, str]) -> list[str]:
    return ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in {"PATH": PATH, **variables}.items())]


@dataclass(frozen=True, slots=True)
class Container:
    """A process of the image in namespaces of its own."""

    process: subprocess.Popen[bytes]
    stage: Stage
    image: Path
    directory: Path

    def wait_for_network(self) -> None:
        """Raises: RuntimeError with what was said, if the namespaces could not be made."""
        while not self._file_of_neighbour.exists():
            if self.process.poll() is not None:
                raise RuntimeError(self.output())
            time.sleep(0.01)

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """A command as the image's user, as `docker exec` and `kubectl exec` run it."""
        return self._enter(self.process.pid, ["--mount", "--root", "--wd"], [*_as_user(self.stage), *command])

    def from_outside(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """A command at the other end of the cable."""
        return self._enter(self._neighbour, [], command)

    def output(self) -> str:
        """What it said so far, logs and errors."""
        return (self.directory / "output").read_text()

    def written(self) -> set[Path]:
        """Files that it put beside its volumes."""
        upper = self.directory / "layer" / "upper"
        return _files(upper) - _files(self.image)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._file_of_neighbour.exists():
            os.kill(self._neighbour, signal.SIGKILL)

    @property
    def _file_of_neighbour(self) -> Path:
        return self.directory / "neighbour"

    @property
    def _neighbour(self) -> int:
        return int(self._file_of_neighbour.read_text())

    def _enter(self, pid: int, which: list[str], command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        entered = ["nsenter", f"--target={pid}", "--net", *which, *command]
        return subprocess.run(entered, capture_output=True, text=True, check=False, timeout=60)


def _files(folder: Path) -> set[Path]:
    return {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}


def _as_user(stage: Stage) -> list[str]:
    user, _, group = stage.user.partition(":")
    # without root there is one user in the namespace, which is root in it alone
    who = [f"--reuid={user}", f"--regid={group}", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *who, "--no-new-privs", "--bounding-set=-all", *_environment(stage.environment)]


@contextmanager
def running(
    stage: Stage, upper: Path, directory: Path, mounted: Mapping[str, Path], command: Sequence[str] = ()
) -> Iterator[Container]:
    """The image's process, with the directories `mounted` at their places, read-only; what still runs is ended."""
    root = directory / "layer" / "tree"
    # The image is below the machine's root directory, which overlayfs takes for no layer beside it: links make it one.
    lines = [f"cp -al {upper}/. {root.parent}/upper/", *_laid_over(root.parent), f"mkdir -p {root}/tmp"]
    for volume in (*stage.volumes, "/tmp"):
        place = directory / "volumes" / volume.strip("/").replace("/", "-")
        place.mkdir(parents=True)
        lines += [f"chown {stage.user if os.geteuid() == 0 else '0:0'} {place}", f"mount --bind {place} {root}{volume}"]
    for place_inside, source in mounted.items():
        lines += [f"mkdir -p {root}{place_inside}", f"mount --bind {source} {root}{place_inside}"]
        lines += [f"mount -o remount,bind,ro {root}{place_inside}"]
    lines += [
        f"mount -o remount,ro {root}",
        "unshare --net sleep 600 & neighbour=$!",
        "until [ $(readlink /proc/$neighbour/ns/net) != $(readlink /proc/$$/ns/net) ]; do sleep 0.01; done",
        "ip link add inside type veth peer name outside netns $neighbour",
        f"ip link set lo up; ip addr add {CONTAINER}/24 dev inside; ip link set inside up",
        f"nsenter --target=$neighbour --net ip addr add {NEIGHBOUR}/24 dev outside",
        "nsenter --target=$neighbour --net ip link set outside up",
        f"echo $neighbour >{directory}/.neighbour; mv {directory}/.neighbour {directory}/neighbour",
        f"exec chroot {root} {shlex.join(_as_user(stage))} /bin/sh -c "
        + shlex.quote(f"cd {stage.directory} && exec {shlex.join([*stage.entry_point, *(command or stage.command)])}"),
    ]
    script = _script(directory / "run.sh", lines)
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            namespaces("--mount", "--net", "bash", str(script)), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    container = Container(process, stage, upper, directory)
    try:
        container.wait_for_network()
        yield container
    finally:
        container.close()
