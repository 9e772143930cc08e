"""A configuration as the playground takes it: its rules as they are written, and the rest without secrets."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from bridge.config.in_clear import without_secrets
from bridge.config.show import as_written
from bridge.config.spellings import in_present_spelling
from rules.document import files_of, load_document
from rules.node import Node
from rules.problems import Problems

DRAFTED = ("defaults", "rules")
"""The sections that a draft has, in the order in which they are shown."""

_NEEDED = ("version", "sources", "hubs", "sinks", "windows", "content")
"""What rules refer to; of `bridge` the time zone is needed too."""

_Loader = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader


def printed(paths: Sequence[Path]) -> bytes:
    """One line of JSON with `configuration`, `rules` and `directory`; or with `mistake`, where there is nothing to try."""
    return json.dumps(_read(paths)).encode() + b"\n"


def _read(paths: Sequence[Path]) -> dict[str, str]:
    problems = Problems()
    try:
        written = load_document(paths, problems, no_secrets=True)
    except OSError as error:
        return {"mistake": f"{error.filename}: cannot be read: {error.strerror}"}
    if problems.has_errors or written is None or not isinstance(written.value, dict):
        return {"mistake": next(map(str, problems.sorted()), "the configuration is empty")}
    root = in_present_spelling(written, problems)
    assert isinstance(root.value, dict)
    sections = {name: node for name, node in root.value.items() if name in _NEEDED and node.value is not None}
    configuration = without_secrets(sections)
    if (timezone := root.find(("bridge", "timezone"))).key == "bridge.timezone":
        configuration["bridge"] = {"timezone": as_written(timezone)}
    directory = paths[0] if paths[0].is_dir() else paths[0].parent
    return {
        "configuration": _dumped(configuration),
        "rules": _drafted(paths, root),
        "directory": str(directory.resolve()),
    }


def _dumped(sections: Any) -> str:
    text: str = yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, width=120) if sections else ""
    return text


def _drafted(paths: Sequence[Path], root: Node) -> str:
    """The sections of a draft as they are written, comments included; made anew where that would not be the same.

    Several files may have rules of their own indentation, and an anchor may stand in another section.
    """
    texts = [file.read_text(encoding="utf-8-sig") for file in files_of(paths)]
    try:
        text = "".join(part for name in DRAFTED for part in _section(name, texts))
        if _plain(text) == _wanted(texts):
            return text
    except yaml.YAMLError:
        pass
    assert isinstance(root.value, dict)
    return _dumped({name: as_written(root.value[name]) for name in DRAFTED if name in root.value})


def _section(name: str, texts: Sequence[str]) -> Iterator[str]:
    """Raises: yaml.YAMLError: it cannot be put together of its texts."""
    blocks = [block for text in texts if (block := _block(name, text)) is not None]
    if len(blocks) > 1 and any(is_in_line for is_in_line, _ in blocks):
        raise yaml.YAMLError("one of several stands in the line of its key")
    if blocks and not blocks[0][0]:
        yield f"{name}:\n"
    yield from (block for _, block in blocks)


def _block(name: str, text: str) -> tuple[bool, str] | None:
    """The lines below a key of a document, indented by two; with its key, and True, where its value begins in the line of
    the key. None where there are none."""
    root = yaml.compose(text, Loader=_Loader)
    if not isinstance(root, yaml.MappingNode):
        return None
    for key, value in root.value:
        if key.value == name and not (isinstance(value, yaml.ScalarNode) and not value.value):
            if value.start_mark.line == key.start_mark.line:
                whole = text.splitlines(keepends=True)[key.start_mark.line : value.end_mark.line + 1]
                return True, "".join(_moved(line, 0)[2:] for line in whole)
            lines = text.splitlines(keepends=True)[key.start_mark.line + 1 : _end(value)]
            while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
                lines.pop()  # a comment of what comes next
            while lines and not lines[0].strip():
                del lines[0]
            own = value.start_mark.column
            return False, "".join(_moved(line, own) for line in lines)
    return None


def _end(value: yaml.Node) -> int:
    """The number of the last line of a value, counted from 1."""
    end: int = value.end_mark.line + (1 if value.end_mark.column else 0)
    return end


def _moved(line: str, own: int) -> str:
    line = line if line.endswith("\n") else f"{line}\n"
    if not line.strip():
        return "\n"
    return "  " + (line[own:] if not line[:own].strip() else line.lstrip())


def _plain(text: str) -> dict[str, Any]:
    loaded = yaml.load(text, Loader=_Loader)  # noqa: S506 - texts, lists and objects alone
    return {name: loaded[name] for name in DRAFTED if name in loaded} if isinstance(loaded, dict) else {}


def _wanted(texts: Sequence[str]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    for text in texts:
        for name, value in _plain(text).items():
            if isinstance(value, list):
                wanted[name] = [*wanted.get(name, []), *value]
            elif isinstance(value, dict):
                wanted[name] = {**wanted.get(name, {}), **value}
    return wanted
