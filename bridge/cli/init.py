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
    from bridge.trial.sample import Given, Sample

_SUFFIXES = {
    "json": ".json",
    "cloudevents": ".json",
    "xml": ".xml",
    "text": ".txt",
    "csv": ".csv",
    "fixed_width": ".dat",
}
_FORMATS = ("csv", "fixed_width", "text")
"""What a sample may be said to be; the others show by themselves."""
_LONGEST_NAME = 41
_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,39}[a-z0-9])?")
_YAML_WORDS = frozenset(["null", "true", "false", "yes", "no", "on", "off", "y", "n"])
"""What YAML of one version or another reads as no text where it is not quoted."""

_NOT_IN_YAML = re.compile("[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")

_IS_VERSION = re.compile(r"v?\d+")


def init(
    sample: Annotated[
        Path, typer.Option("--from", help="A file with the body of one message, as the system sends it.")
    ],
    connector: Annotated[
        str, typer.Option(help="How messages come: http, rabbitmq, servicebus, kafka, sql or files.")
    ] = "http",
    format_: Annotated[
        str, typer.Option("--format", help="csv, fixed_width or text, where it is not seen rightly.")
    ] = "",
    encoding: Annotated[
        str, typer.Option(help="The code page of a sample that is no UTF-8, such as cp1252, or cp1141 for EBCDIC.")
    ] = "",
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", help="A column of a fixed width: NAME=13-18, or NAME=13-18:packed:2. Once for each."),
    ] = None,
    length: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Bytes of a record of fixed width without a line end.")
    ] = None,
    name: Annotated[str, typer.Option(help="The name of the source; without it that of the file.")] = "",
    directory: Annotated[Path, typer.Option("--directory", help="Where to write the files.")] = Path("pushbridge"),
) -> None:
    """Make a configuration from a sample event: decoder, map, one rule, one test. It overwrites nothing."""
    from bridge.trial.inference import inferred_from
    from bridge.trial.sample import read_sample
    from connectors.table import CONNECTORS

    if connector not in CONNECTORS:
        raise fail(f"--connector {connector!r}: there are {', '.join(CONNECTORS)}", Exit.WRONG_ARGUMENTS)
    body = _read(sample)
    name = name or _named_after(sample)
    if not _is_name(name):
        raise fail(
            f"--name {name!r}: write up to 41 small letters, digits and hyphens, and no word of YAML",
            Exit.WRONG_ARGUMENTS,
        )
    given = _given(format_, encoding, fields or [], length)
    try:
        read = read_sample(body, given)
    except ValueError as error:
        raise fail(f"{sample}: {error}", Exit.WRONG_ARGUMENTS) from error
    inferred = inferred_from(read.data)
    copy = f"{name}{_SUFFIXES[read.format]}"
    settings = _settings(CONNECTORS[connector].sample, name)
    if "split" in read.decode:  # of a file too: its first line may have names, and a record need not be a line
        settings = settings.replace("records: lines", "records: file")
    files = {
        directory / f"{name}.yaml": _configuration(name, connector, settings, read, inferred).encode(),
        directory / f"{name}.test.yaml": _test(name, copy, inferred).encode(),
        directory / copy: read.body,
    }
    _write(files)
    for file in files:
        typer.echo(str(file))
    typer.echo(f"Now: pushbridge check {directory}; pushbridge test {directory}", err=True)


def _given(format_: str, encoding: str, fields: list[str], length: int | None) -> "Given":
    from bridge.decode.charset import charset_named
    from bridge.trial.sample import Given
    from bridge.trial.tabular import fields_of

    if format_ and format_ not in _FORMATS:
        raise fail(f"--format {format_!r}: there are {', '.join(_FORMATS)}", Exit.WRONG_ARGUMENTS)
    if encoding and charset_named(encoding) is None:
        raise fail(
            f"--encoding {encoding!r}: not a charset that is read, such as cp1252 or cp1141", Exit.WRONG_ARGUMENTS
        )
    try:
        described = fields_of(fields)
    except ValueError as error:
        raise fail(str(error), Exit.WRONG_ARGUMENTS) from error
    charset = charset_named(encoding) if encoding else None
    return Given(format=format_ or None, encoding=charset, length=length, fields=described)


def _read(sample: Path) -> bytes:
    try:
        return sample.read_bytes()
    except OSError as error:
        raise fail(f"{sample}: cannot be read: {error.strerror}", Exit.WRONG_ARGUMENTS) from error


def _named_after(sample: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", sample.stem.lower()).lstrip("0123456789-")[:_LONGEST_NAME].strip("-")
    return name if _is_name(name) else f"source{name and '-'}{name}"


def _is_name(name: str) -> bool:
    """Whether it can stand in the files as it is."""
    return _NAME.fullmatch(name) is not None and name not in _YAML_WORDS


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


def _configuration(name: str, connector: str, settings: str, read: "Sample", inferred: "Inferred") -> str:
    lines = [
        "# Made from a sample event by `pushbridge init`: read each line, for a sample does not say everything.",
        "version: 1",
        "",
        "sources:",
        f"  {name}:",
        f"    {connector}: {settings}",
        *_decode(read),
    ]
    if read.format != "cloudevents":
        lines += ["    map:", *_map(name, inferred)]
    lines += [
        "",
        "rules:",
        f"  - name: {name}",
        f"    source: {name}",
        f"    match: {{ type: {_quoted(_type_value(name, inferred, read.type))} }}",
        "    push:",
        f"      to: {_to(name, inferred.user)}",
        "      with:                                   # properties of the templates that phones registered",
        f"        title: {_quoted(_title(name, inferred, read.type))}",
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
        optional = f"{{{{ {inferred.subject.expression} | default('') }}}}"  # no event is to be lost for want of it
        lines.append(f"      subject: {_quoted(optional)}")
    if inferred.time is not None:
        lines.append(f"      time: {_quoted(_placeholder(inferred.time))}")
    return lines


def _test(name: str, copy: str, inferred: "Inferred") -> str:
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
    parts = [part for part in type_.split(".") if part and not _IS_VERSION.fullmatch(part)]
    kind = parts[-1] if parts else ("" if inferred.type is None else str(inferred.type.value))
    words = re.sub(r"[^A-Za-z0-9]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", f"{name} {kind}")).strip().lower()
    each = words.split()
    return " ".join(word for before, word in zip(["", *each], each, strict=False) if word != before)[:60].capitalize()


def _body(inferred: "Inferred") -> str:
    shown = inferred.shown or tuple(each for each in (inferred.id, inferred.subject) if each is not None)
    return ", ".join(_placeholder(field) for field in shown) or "A message came."


def _placeholder(field: "Field") -> str:
    return f"{{{{ {field.expression} }}}}"


def _quoted(text: str) -> str:
    return _printable(json.dumps(text, ensure_ascii=False))


def _printable(text: str) -> str:
    """Without characters that YAML does not take as they are (1.2.2, section 5.1)."""
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _decode(read: "Sample") -> list[str]:
    """The section, in one line where that is enough; what is not certain stands above it."""
    if not read.notes and not any(isinstance(value, dict | list) for value in read.decode.values()):
        return [f"    decode: {_flow(read.decode)}"]
    lines = ["    decode:", *(f"      # look: {_printable(note)}" for note in read.notes)]
    for key, value in read.decode.items():
        if key == "fields":
            lines += ["      fields:", *(f"        {_key(name)}: {_flow(at)}" for name, at in value.items())]
        else:
            lines.append(f"      {key}: {_flow(value)}")
    return lines


def _flow(value: Any) -> str:
    """YAML in one line."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{_key(key)}: {_flow(each)}" for key, each in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str() if re.fullmatch(r"[a-z][a-z0-9_]*|\d+-\d+", value) and value not in _YAML_WORDS:
            return value
    return _printable(json.dumps(value, ensure_ascii=False))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in _YAML_WORDS else _quoted(name)
