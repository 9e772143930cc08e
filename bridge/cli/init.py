"""`pushbridge init`: a configuration made of one sample event, with one rule and one test that passes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.client import fail
from bridge.cli.exits import Exit

if TYPE_CHECKING:
    from bridge.trial.inference import Field, Inferred

_SUFFIXES = {"json": ".json", "cloudevents": ".json", "xml": ".xml", "text": ".txt"}
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


def init(
    sample: Annotated[
        Path, typer.Option("--from", help="A file with the body of one message, as the system sends it.")
    ],
    connector: Annotated[str, typer.Option(help="How messages come: http, rabbitmq or servicebus.")] = "http",
    name: Annotated[str, typer.Option(help="The name of the source; without it that of the file.")] = "",
    directory: Annotated[Path, typer.Option("--directory", help="Where to write the files.")] = Path("pushbridge"),
) -> None:
    """Make a configuration from a sample event: decoder, map, one rule, one test. It overwrites nothing."""
    from connectors.table import CONNECTORS

    if connector not in CONNECTORS:
        raise fail(f"--connector {connector!r}: there are {', '.join(CONNECTORS)}", Exit.WRONG_ARGUMENTS)
    body = _read(sample)
    name = name or _named_after(sample)
    if not _NAME.fullmatch(name):
        raise fail(f"--name {name!r}: write small letters, digits and hyphens", Exit.WRONG_ARGUMENTS)
    format_, inferred, type_ = _inferred(sample, body)
    copy = f"{name}{_SUFFIXES[format_]}"
    files = {
        directory / f"{name}.yaml": _configuration(
            name, connector, _settings(CONNECTORS[connector].sample, name), inferred, type_
        ).encode(),
        directory / f"{name}.test.yaml": _test(name, copy, inferred, type_).encode(),
        directory / copy: body,
    }
    _write(files)
    for file in files:
        typer.echo(str(file))
    typer.echo(f"Now: pushbridge check {directory}; pushbridge test {directory}", err=True)


def _read(sample: Path) -> bytes:
    try:
        return sample.read_bytes()
    except OSError as error:
        raise fail(f"{sample}: cannot be read: {error.strerror}", Exit.WRONG_ARGUMENTS) from error


def _named_after(sample: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", sample.stem.lower()).strip("-").lstrip("0123456789-") or "source"


def _inferred(sample: Path, body: bytes) -> "tuple[str, Inferred, str]":
    """Format, what the sample looks like, and the type of its event as CloudEvents has it, if it is one."""
    from bridge.decode import decoder_for
    from bridge.decode.base import DecodeSettings
    from bridge.errors import EventError
    from bridge.trial.inference import format_of, inferred_from, pattern_of
    from connectors.base import Message

    try:
        format_ = format_of(body)
    except ValueError as error:
        raise fail(f"{sample}: {error}", Exit.WRONG_ARGUMENTS) from error
    decode: dict[str, Any] = {"format": format_}
    if format_ == "xml" and (root := re.search(rb"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]", body)):
        decode["root"] = root[1].decode()
    if format_ == "text":
        decode["pattern"] = pattern_of(body.decode("utf-8-sig"))
    settings = DecodeSettings(format=format_, pattern=decode.get("pattern"))
    content_type = "application/cloudevents+json" if format_ == "cloudevents" else None
    try:
        decoded = decoder_for(settings)(Message(source="sample", body=body, content_type=content_type))
    except EventError as error:
        raise fail(f"{sample}: {error.detail}", Exit.WRONG_ARGUMENTS) from error
    return format_, inferred_from(decoded.data, decode), decoded.type or ""


def _write(files: Mapping[Path, bytes]) -> None:
    there = [str(file) for file in files if file.exists()]
    if there:
        raise fail(f"{', '.join(there)}: there already; nothing was written", Exit.WRONG_ARGUMENTS)
    try:
        for file, content in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    except OSError as error:
        raise fail(f"{error.filename}: cannot be written: {error.strerror}", Exit.CANNOT_START) from error


# The texts of the files


def _settings(sample: str, name: str) -> str:
    """A connector's sample for a source of this name; variables of the environment are in capitals."""
    return sample.replace("NAME_TOKEN", f"{name.upper().replace('-', '_')}_TOKEN").replace("NAME", name)


def _configuration(name: str, connector: str, settings: str, inferred: "Inferred", type_: str) -> str:
    lines = [
        "# Made from a sample event by `pushbridge init`: read each line, for a sample does not say everything.",
        "version: 1",
        "",
        "sources:",
        f"  {name}:",
        f"    {connector}: {settings}",
        f"    decode: {_flow(inferred.decode)}",
    ]
    if inferred.decode["format"] != "cloudevents":
        lines += ["    map:", *_map(name, inferred)]
    lines += [
        "",
        "rules:",
        f"  - name: {name}",
        f"    source: {name}",
        f"    match: {{ type: {_quoted(_type_value(name, inferred, type_))} }}",
        "    push:",
        f"      to: {_to(name, inferred.user)}",
        "      with:                                   # properties of the templates that phones registered",
        f"        title: {_quoted(_title(name, inferred, type_))}",
        f"        body: {_quoted(_body(inferred))}",
        "",
        "hubs:",
        "  app: {}                                     # platforms: { apns: ..., fcm: ... } with their credentials",
        "",
    ]
    return "\n".join(lines)


def _map(name: str, inferred: "Inferred") -> list[str]:
    lines = []
    if inferred.id is not None:
        of_thing = inferred.type is not None and not inferred.id.is_of_an_event
        text = _placeholder(inferred.id) + (f"/{_placeholder(inferred.type)}" if of_thing and inferred.type else "")
        lines.append(f"      id: {_quoted(text)}        # what tells one event from another")
    else:
        lines.append(
            '      # id: "{{ data. }}"      # nothing looks like an id: without one, a repeated message is pushed twice'
        )
    kind = name if inferred.type is None else f"{name}.{_type_text(inferred.type)}"
    lines.append(f"      type: {_quoted(kind)}")
    if inferred.subject is not None:
        lines.append(f"      subject: {_quoted(_placeholder(inferred.subject))}")
    if inferred.time is not None:
        lines.append(f"      time: {_quoted(_placeholder(inferred.time))}")
    return lines


def _test(name: str, copy: str, inferred: "Inferred", type_: str) -> str:
    to = f"user: {_quoted(str(inferred.user.value))}" if inferred.user is not None else f'tags: ["topic:{name}"]'
    return "\n".join(
        [
            f"config: {name}.yaml",
            "tests:",
            "  - name: the sample reaches a phone",
            f"    devices: [ {{ id: phone, {to} }} ]",
            "    steps:",
            f"      - event: {{ source: {name}, file: {copy} }}",
            f"        expect: {{ rules: [{name}], pushes: [ {{ devices: [phone] }} ] }}",
            "",
        ]
    )


def _type_text(field: "Field") -> str:
    """A placeholder for the type; blanks would be in the way wherever a type is written."""
    return f"{{{{ {field.expression}{_filters(str(field.value))} }}}}"


def _filters(value: str) -> str:
    return (" | replace(' ', '-')" if " " in value else "") + (" | lower" if value != value.lower() else "")


def _type_value(name: str, inferred: "Inferred", type_: str) -> str:
    if type_:
        return type_
    if inferred.type is None:
        return name
    value = str(inferred.type.value)
    return f"{name}.{value.replace(' ', '-').lower() if _filters(value) else value}"


def _to(name: str, user: "Field | None") -> str:
    return f'"topic:{name}"' if user is None else f"{{ user: {_quoted(_placeholder(user))} }}"


def _title(name: str, inferred: "Inferred", type_: str) -> str:
    kind = type_.rpartition(".")[2] or ("" if inferred.type is None else str(inferred.type.value))
    words = re.sub(r"[^A-Za-z0-9]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", f"{name} {kind}")).strip().lower()
    parts = words.split()
    return " ".join(word for before, word in zip(["", *parts], parts, strict=False) if word != before)[:60].capitalize()


def _body(inferred: "Inferred") -> str:
    shown = inferred.shown or tuple(each for each in (inferred.id, inferred.subject) if each is not None)
    return ", ".join(_placeholder(field) for field in shown) or "A message came."


def _placeholder(field: "Field") -> str:
    return f"{{{{ {field.expression} }}}}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _flow(values: Mapping[str, Any]) -> str:
    return (
        "{ "
        + ", ".join(f"{key}: {value if key == 'format' else _quoted(value)}" for key, value in values.items())
        + " }"
    )
