"""A stand-in of a schema registry, over HTTP as an application of ASGI: the API of Confluent Schema Registry, version 1.

Standard behind it: "Schema Registry API Reference", the resources subjects, schemas and compatibility, with their error
codes. Strict where a client may go wrong: credentials, what is not JSON, a schema that does not parse or does not go with
the version before (fields without a default), references that lead nowhere.
"""

import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_KINDS = ("JSON", "PROTOBUF", "AVRO")
_PRIMITIVES = frozenset(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
_FIRST_ID = 1


class _RefusedError(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, slots=True)
class Reference:
    """What a schema says of another one: its name there, and the subject and version that it is registered as."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class _Schema:
    text: str
    kind: str
    references: tuple[Reference, ...]

    def as_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"schema": self.text}
        if self.kind != "AVRO":
            said["schemaType"] = self.kind
        if self.references:
            said["references"] = [
                {"name": each.name, "subject": each.subject, "version": each.version} for each in self.references
            ]
        return said


@dataclass(slots=True)
class _Subject:
    versions: dict[int, int] = field(default_factory=dict)
    """Ids of schemas, by version."""
    deleted: set[int] = field(default_factory=set)


class SchemaRegistryService:
    """One registry. `users` are passwords by name and `tokens` good bearer tokens; without both anybody may ask.

    `faults` are answered first, one a request, as (status, error code); `is_away` answers 503 to all until it is unset.
    """

    def __init__(self, *, users: Mapping[str, str] | None = None, tokens: Sequence[str] = ()) -> None:
        self._users = dict(users or {})
        self._tokens = tuple(tokens)
        self._schemas: dict[int, _Schema] = {}
        self._subjects: dict[str, _Subject] = {}
        self.faults: list[tuple[int, int]] = []
        self.is_away = False
        self.requests: list[tuple[str, str]] = []
        """Method and path with the query, of all requests."""

    def register(
        self, subject: str, schema: object, *, kind: str = "AVRO", references: Sequence[Reference] = (), id: int = 0
    ) -> int:
        """Register a schema as the next version of a subject, as a producer would; returns its id, or `id` where given.

        Raises: ValueError: it is no schema, or does not go with the version before.
        """
        text = json.dumps(schema)
        try:
            return self._register(subject, _Schema(text, kind, tuple(references)), id=id)
        except _RefusedError as error:
            raise ValueError(error.message) from error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        query = f"?{request.url.query}" if request.url.query else ""
        path = scope.get("raw_path", scope["path"].encode()).decode()
        self.requests.append((request.method, path + query))
        try:
            answer: Response = JSONResponse(self._answer(request, path, body), media_type=_MEDIA_TYPE)
        except _RefusedError as error:
            said = {"error_code": error.code, "message": error.message}
            answer = JSONResponse(said, error.status, media_type=_MEDIA_TYPE)
            if error.status == 401:
                answer.headers["WWW-Authenticate"] = 'Basic realm="SchemaRegistry"'
        await answer(scope, receive, send)

    def _answer(self, request: Request, path: str, body: bytes) -> Any:
        if self.is_away:
            raise _RefusedError(503, 50301, "away, as was asked for")
        if self.faults:
            status, code = self.faults.pop(0)
            raise _RefusedError(status, code, "a fault, as was asked for")
        self._admit(request.headers.get("authorization", ""))
        parts = [_unquoted(part) for part in path.strip("/").split("/")]
        with_deleted = request.query_params.get("deleted") == "true"
        match request.method, parts:
            case "GET", ["schemas", "types"]:
                return list(_KINDS)
            case "GET", ["schemas", "ids", id]:
                return self._by_id(id).as_json()
            case "GET", ["subjects"]:
                return sorted(name for name, subject in self._subjects.items() if _live(subject))
            case "GET", ["subjects", name, "versions"]:
                return _live(self._subject(name))
            case "GET", ["subjects", name, "versions", version]:
                return self._version(name, version, with_deleted=with_deleted)
            case "DELETE", ["subjects", name]:
                subject = self._subject(name)
                gone = _live(subject)
                subject.deleted |= set(gone)
                return gone
            case "POST", ["subjects", name, "versions"]:
                return {"id": self._register(name, _given(body))}
            case "POST", ["compatibility", "subjects", name, "versions", "latest"]:
                return {"is_compatible": not self._conflict(self._subject(name), _given(body))}
        raise _RefusedError(404, 404, f"HTTP 404 Not Found: {path}")

    def _admit(self, authorization: str) -> None:
        if not self._users and not self._tokens:
            return
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() == "bearer" and any(hmac.compare_digest(shown, token) for token in self._tokens):
            return
        if scheme.lower() == "basic":
            try:
                name, _, password = base64.b64decode(shown, validate=True).decode().partition(":")
            except ValueError:
                name = password = ""
            if name in self._users and hmac.compare_digest(self._users[name], password):
                return
        raise _RefusedError(401, 401, "Unauthorized")

    def _by_id(self, id: str) -> _Schema:
        schema = self._schemas.get(int(id)) if id.isdecimal() else None
        if schema is None:
            raise _RefusedError(404, 40403, "Schema not found")
        return schema

    def _subject(self, name: str) -> _Subject:
        if name not in self._subjects:
            raise _RefusedError(404, 40401, f"Subject '{name}' not found.")
        return self._subjects[name]

    def _version(self, name: str, version: str, *, with_deleted: bool) -> dict[str, Any]:
        subject = self._subject(name)
        there = sorted(subject.versions) if with_deleted else _live(subject)
        number = there[-1] if version == "latest" and there else int(version) if version.isdecimal() else 0
        if number not in there:
            raise _RefusedError(404, 40402, f"Version {version} not found.")
        id = subject.versions[number]
        return {"subject": name, "version": number, "id": id, **self._schemas[id].as_json()}

    def _register(self, name: str, schema: _Schema, *, id: int = 0) -> int:
        self._check(schema)
        subject = self._subjects.get(name, _Subject())
        if conflict := self._conflict(subject, schema):
            raise _RefusedError(409, 409, f"Schema being registered is incompatible with an earlier schema: {conflict}")
        known = next((each for each, kept in self._schemas.items() if kept == schema), 0)
        id = known or id or max(self._schemas, default=_FIRST_ID - 1) + 1
        self._schemas[id] = schema
        if id not in subject.versions.values():
            subject.versions[max(subject.versions, default=0) + 1] = id
        self._subjects[name] = subject
        return id

    def _check(self, schema: _Schema) -> None:
        try:
            parsed = json.loads(schema.text)
        except ValueError:
            parsed = None
        is_avro = isinstance(parsed, dict | list) or parsed in _PRIMITIVES
        is_json = isinstance(parsed, dict | bool)
        if schema.kind not in _KINDS or not {"AVRO": is_avro, "JSON": is_json}.get(schema.kind, True):
            raise _RefusedError(422, 42201, f"Invalid schema of type {schema.kind}")
        for each in schema.references:
            if each.version not in self._subjects.get(each.subject, _Subject()).versions:
                raise _RefusedError(422, 42201, f"Invalid schema: no reference {each.name}")

    def _conflict(self, subject: _Subject, schema: _Schema) -> str:
        """The commonest mistake under BACKWARD: a field that readers of the new schema want, and older data do not have."""
        if schema.kind != "AVRO" or not (live := _live(subject)):
            return ""
        before, now = (json.loads(text) for text in (self._schemas[subject.versions[live[-1]]].text, schema.text))
        if not all(isinstance(each, dict) and each.get("type") == "record" for each in (before, now)):
            return ""
        known = {each["name"] for each in before["fields"]}
        missing = [each["name"] for each in now["fields"] if each["name"] not in known and "default" not in each]
        return f"READER_FIELD_MISSING_DEFAULT_VALUE: {missing[0]}" if missing else ""


def framed(id: int, content: bytes) -> bytes:
    """A body in Confluent's wire format."""
    return b"\0" + id.to_bytes(4, "big") + content


def _live(subject: _Subject) -> list[int]:
    return sorted(set(subject.versions) - subject.deleted)


def _unquoted(part: str) -> str:
    return re.sub("(?:%[0-9A-Fa-f]{2})+", lambda found: bytes.fromhex(found[0].replace("%", "")).decode(), part)


def _given(body: bytes) -> _Schema:
    try:
        said = json.loads(body)
        references = tuple(
            Reference(each["name"], each["subject"], each["version"]) for each in said.get("references") or ()
        )
        return _Schema(said["schema"], said.get("schemaType") or "AVRO", references)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _RefusedError(422, 42201, "Empty or invalid schema") from None
