"""A Dockerfile's instructions, as far as ours uses them."""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = (Path(sys.base_prefix) / "bin").resolve()
"""Where this machine's Python is; that of the base image is in /usr/local/bin."""

PATH = f"{PYTHON}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What the base image sets."""

_INSTRUCTION = re.compile(r"([A-Z]+)\s+(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What changes files: COPY (`stage` is another one's name, or empty for the context) or RUN."""

    words: tuple[str, ...] = ()
    stage: str = ""
    command: str = ""
    directory: str
    environment: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Stage:
    """What FROM begins, up to the next one: its steps, and what the last of them leaves to the process."""

    name: str
    base: str
    steps: list[Step] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)
    entry_point: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def stages(file: Path) -> list[Stage]:
    """The stages in their order.

    Raises: ValueError for an instruction or a form that is not known here, so that none is passed over.
    """
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for keyword, rest in _instructions(file.read_text()):
        if keyword == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif keyword == "FROM":
            base, _, name = _filled(rest, arguments).partition(" AS ")
            found.append(Stage(name=name, base=base))
        else:
            _apply(found[-1], keyword, rest)
    return found


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    whole = re.sub(r"\\\n", "", "\n".join(lines)).splitlines()
    matches = [_INSTRUCTION.fullmatch(line.strip()) for line in whole]
    if None in matches:
        raise ValueError(f"not an instruction: {whole[matches.index(None)]}")
    return [(match[1], match[2].strip()) for match in matches if match is not None]


def _apply(stage: Stage, keyword: str, rest: str) -> None:
    match keyword:
        case "COPY":
            words = rest.split()
            source = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else ""
            if any(word.startswith("--") for word in words):
                raise ValueError(f"COPY {rest}: an option that is not known here")
            stage.steps.append(Step(words=tuple(words), stage=source, directory=stage.directory, environment={}))
        case "RUN":
            if rest.startswith(("--", "[")):
                raise ValueError(f"RUN {rest}: a form that is not known here")
            stage.steps.append(Step(command=rest, directory=stage.directory, environment=dict(stage.environment)))
        case "ENV":
            for name, value in re.findall(r"(\w+)=(\S+)", rest):
                stage.environment[name] = value.replace("$PATH", PATH)
        case "WORKDIR":
            stage.directory = rest
        case "USER":
            stage.user = rest
        case "VOLUME":
            stage.volumes.append(rest)
        case "HEALTHCHECK":
            stage.health_check = json.loads(rest.partition("CMD ")[2])
        case "ENTRYPOINT":
            stage.entry_point = json.loads(rest)
        case "CMD":
            stage.command = json.loads(rest)
        case "LABEL" | "EXPOSE":
            pass  # they say something to people and tools, and do nothing
        case _:
            raise ValueError(f"{keyword}: an instruction that is not known here")


def _filled(text: str, arguments: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], text)
