"""A stand-in for a blob service, over HTTP as an application of ASGI: containers behind service SAS, block blobs.

Standard behind it: Azure Storage, "Blob service REST API" and "Create a service SAS". Strict where a client may go wrong:
the signature, its rights and its times, the version header, lengths, block ids, ranges and preconditions.
"""

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_VERSION = "2020-12-06"
_MAX_BLOCK = 100 * 1024 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_LATEST = re.compile(r"<(Latest|Uncommitted|Committed)>([^<]*)</\1>")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_NEEDS = {"GET": "r", "HEAD": "r", "PUT": "w", "DELETE": "d"}


class _RefusedError(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(slots=True)
class _Blob:
    content: bytes = b""
    etag: str = ""
    is_committed: bool = False
    blocks: dict[str, bytes] = field(default_factory=dict)
    uncommitted: dict[str, bytes] = field(default_factory=dict)


class BlobService:
    """One account with its containers. `refusals` are answered first, one a request, as (status, error code)."""

    def __init__(
        self,
        *,
        account: str = "sandbox",
        key: bytes = b"sandbox account key",
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._account = account
        self._key = key
        self._now = now or (lambda: datetime.now(UTC))
        self._blobs: dict[tuple[str, str], _Blob] = {}
        self.containers: set[str] = set()
        self.refusals: list[tuple[int, str]] = []
        self.requests: list[tuple[str, str]] = []
        """Method and path with the query but for the signature's part."""

    def signature(self, container: str, *, rights: str = "rcwl", until: datetime) -> str:
        """A query that lets its holder do what `rights` say in a container."""
        fields = {"sv": _VERSION, "sr": "c", "sp": rights, "se": until.astimezone(UTC).strftime(_TIME), "spr": "https"}
        signed = self._sign(container, fields)
        return "&".join(f"{name}={quote(value, safe='')}" for name, value in {**fields, "sig": signed}.items())

    def content(self, container: str, name: str) -> bytes | None:
        """A blob's content; None: there is none of that name, or it is not committed."""
        blob = self._blobs.get((container, name))
        return blob.content if blob is not None and blob.is_committed else None

    def put(self, container: str, name: str, content: bytes) -> None:
        """Make or replace a blob, as another client of the account would."""
        self._blobs[container, name] = _Blob(content=content, etag=_etag(), is_committed=True)

    def names(self, container: str) -> Sequence[str]:
        return sorted(name for of, name in self._blobs if of == container)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        try:
            answer = self._answer(request, body)
        except _RefusedError as error:
            text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{error.code}</Code><Message/></Error>'
            answer = Response(text, error.status, {"x-ms-error-code": error.code}, media_type="application/xml")
        answer.headers["x-ms-version"] = _VERSION
        answer.headers["x-ms-request-id"] = str(uuid.uuid4())
        await answer(scope, receive, send)

    def _answer(self, request: Request, body: bytes) -> Response:
        query = dict(request.query_params)
        _, container, name = [*request.url.path.split("/", 2), "", ""][:3]
        shown = {key: value for key, value in query.items() if key in ("comp", "blockid")}
        self.requests.append((request.method, f"/{container}/{name}{f'?{shown}' if shown else ''}"))
        if self.refusals:
            raise _RefusedError(*self.refusals.pop(0))
        self._examine(request, container, query)
        if container not in self.containers:
            raise _RefusedError(404, "ContainerNotFound")
        match request.method, query.get("comp", ""):
            case "PUT", "block":
                return self._put_block(container, name, query.get("blockid", ""), body)
            case "PUT", "blocklist":
                return self._commit(container, name, body)
            case "PUT", "":
                if request.headers.get("x-ms-blob-type") != "BlockBlob":
                    raise _RefusedError(400, "MissingRequiredHeader")
                self.put(container, name, body)
                return Response(status_code=201)
            case (("GET" | "HEAD"), ""):
                return self._get(request, container, name)
            case _:
                raise _RefusedError(400, "UnsupportedHttpVerb")

    def _examine(self, request: Request, container: str, query: Mapping[str, str]) -> None:
        """Raises: _RefusedError."""
        if "x-ms-version" not in request.headers:
            raise _RefusedError(400, "MissingRequiredHeader")
        if request.method == "PUT" and "content-length" not in request.headers:
            raise _RefusedError(411, "MissingContentLengthHeader")
        fields = {name: query.get(name, "") for name in ("sv", "sr", "sp", "se", "spr")}
        if not hmac.compare_digest(self._sign(container, fields), query.get("sig", "")):
            raise _RefusedError(403, "AuthenticationFailed")
        if datetime.strptime(fields["se"], _TIME).replace(tzinfo=UTC) <= self._now():
            raise _RefusedError(403, "AuthenticationFailed")
        if _NEEDS.get(request.method, "?") not in fields["sp"]:
            raise _RefusedError(403, "AuthorizationPermissionMismatch")

    def _sign(self, container: str, fields: Mapping[str, str]) -> str:
        resource = f"/blob/{self._account}/{container}"
        lines = [fields["sp"], "", fields["se"], resource, "", "", fields["spr"], fields["sv"], fields["sr"]]
        text = "\n".join([*lines, *[""] * 7])
        return base64.b64encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest()).decode()

    def _put_block(self, container: str, name: str, block_id: str, body: bytes) -> Response:
        blob = self._blobs.setdefault((container, name), _Blob())
        try:
            length = len(base64.b64decode(block_id, validate=True))
        except ValueError:
            raise _RefusedError(400, "InvalidQueryParameterValue") from None
        lengths = {len(base64.b64decode(each)) for each in blob.uncommitted}
        if not 0 < length <= 64 or (lengths and lengths != {length}):
            raise _RefusedError(400, "InvalidBlobOrBlock")
        if not body:
            raise _RefusedError(400, "InvalidHeaderValue")
        if len(body) > _MAX_BLOCK:
            raise _RefusedError(413, "RequestBodyTooLarge")
        blob.uncommitted[block_id] = body
        return Response(status_code=201)

    def _commit(self, container: str, name: str, body: bytes) -> Response:
        blob = self._blobs.setdefault((container, name), _Blob())
        chosen = [found[2] for found in _LATEST.finditer(body.decode())]
        known = {**blob.blocks, **blob.uncommitted}
        if not known.keys() >= set(chosen):
            raise _RefusedError(400, "InvalidBlockList")
        blob.blocks = {each: known[each] for each in chosen}
        blob.uncommitted = {}
        blob.content, blob.etag, blob.is_committed = b"".join(known[each] for each in chosen), _etag(), True
        return Response(status_code=201, headers={"ETag": blob.etag})

    def _get(self, request: Request, container: str, name: str) -> Response:
        blob = self._blobs.get((container, name))
        if blob is None or not blob.is_committed:
            raise _RefusedError(404, "BlobNotFound")
        if request.headers.get("if-match", blob.etag) != blob.etag:
            raise _RefusedError(412, "ConditionNotMet")
        headers = {"ETag": blob.etag, "x-ms-blob-type": "BlockBlob", "Accept-Ranges": "bytes"}
        if request.method == "HEAD":
            return Response(headers={**headers, "Content-Length": str(len(blob.content))})
        found = _RANGE.fullmatch(request.headers.get("range", ""))
        if found is None:
            return Response(blob.content, headers=headers)
        start = int(found[1])
        if start >= len(blob.content):
            raise _RefusedError(416, "InvalidRange")
        part = blob.content[start : int(found[2]) + 1 if found[2] else None]
        headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(blob.content)}"
        return Response(part, 206, headers)


def _etag() -> str:
    return f'"0x{uuid.uuid4().hex[:15].upper()}"'
