"""Tokens with a holder and a role: what each may do at the admin listener, and by which name it is written down."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from bridge.admin.api.operation import PREFIX, Operation
from bridge.admin.api.routes import OPERATIONS
from bridge.admin.roles import Role
from bridge.app import Daemon
from bridge.config.load import check
from bridge.config.reload import Reloader
from hub.acceptance import Ingest
from rules.read_files import ReadFiles
from tests.bridge.examples import complaints
from tests.bridge.test_admin_api import letter

TOKENS = {"viewer": "canary-view", "operator": "canary-operate", "admin": "canary-administer"}
CONFIGURATION = """
bridge: { store: { url: "sqlite:///x.db" } }
listeners:
  admin:
    address: "127.0.0.1:0"
    auth:
      bearer: canary-shared
      tokens:
        - { name: board, role: viewer, token: canary-view }
        - { name: ann, role: operator, token: [canary-operate, canary-operate-next] }
        - { name: root, role: admin, token: canary-administer }
  hub_api: { address: "127.0.0.1:0" }
sources: { hr: { http: { path: /in/hr } } }
hubs:
  app:
    platforms: { wns: { tenant: t, client_id: c, client_secret: s, token_url: "https://127.0.0.1:1/token" } }
rules: [ { name: all, push: { to: everyone, with: { title: hello } } } ]
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIGURATION)
    settings, problems = check(config)
    assert settings is not None, problems
    daemon = Daemon(
        settings,
        reload=lambda daemon: Reloader(config, daemon, config_hash="", files=ReadFiles(), on_result=daemon.reloaded),
    )
    with capture_logs():
        async with daemon.running():
            yield daemon


async def ask(daemon: Daemon, method: str, path: str, authorization: str, **more: Any) -> httpx.Response:
    host, port = daemon.admin.address
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=30) as client:
        headers = {"authorization": authorization, **more.pop("headers", {})}
        return await client.request(method, f"http://{host}:{port}{path}", headers=headers, **more)


def bearer(role: str) -> str:
    return f"Bearer {TOKENS[role]}"


@pytest.mark.parametrize("role", Role)
async def test_an_operation_is_for_its_role_and_those_above_it(daemon: Daemon, role: Role) -> None:
    """An operation that is allowed may still refuse the request, for its body is empty here."""
    for operation in OPERATIONS:
        path = PREFIX + operation.path.replace("{hub}", "app").replace("{id}", "1")
        answer = await ask(daemon, operation.method, path, bearer(role.word), json={})
        is_refused = answer.status_code == 403 and "needs the role" in answer.json()["detail"]
        assert is_refused == (role < operation.least_role), operation.name


def by_name(name: str) -> Operation:
    return next(operation for operation in OPERATIONS if operation.name == name)


def test_what_changes_is_no_viewer_s_and_what_is_personal_or_for_good_an_admin_s() -> None:
    assert {operation.least_role for operation in OPERATIONS if operation.method == "GET"} == {Role.VIEWER, Role.ADMIN}
    admins = {operation.name for operation in OPERATIONS if operation.least_role is Role.ADMIN}
    assert admins == {
        "exportJournal",
        "exportUser",
        "eraseUser",
        "dropDeadLetters",
        "backUp",
        "importDevices",
        "rewritePhones",
        "removeFromMirror",
        "rewriteMirror",
    }
    assert by_name("approveNotification").least_role is Role.OPERATOR
    assert by_name("replayDeadLetters").least_role is Role.OPERATOR
    assert by_name("showMirror").least_role is Role.VIEWER
    assert by_name("listMirror").least_role is Role.OPERATOR


async def test_a_body_is_shown_to_an_admin_alone(daemon: Daemon) -> None:
    await daemon.hub.store.accept([Ingest(source="", event_id="", dead_letters=[letter(1)])], start=0)
    (listed,) = (await ask(daemon, "GET", f"{PREFIX}/dead-letters", bearer("viewer"))).json()["items"]
    shown = {
        role: (await ask(daemon, "GET", f"{PREFIX}/dead-letters/{listed['id']}", bearer(role))).json()
        for role in TOKENS
    }
    assert shown["admin"]["body"] == "body"
    for role in ("viewer", "operator"):
        assert not shown[role].get("body")
        assert "role admin" in shown[role]["withheld"]


async def test_a_change_is_written_down_under_the_holder_s_name_whatever_the_request_says(daemon: Daemon) -> None:
    """Else who approves a large send could pass for another."""
    send = {"everyone": True, "properties": {"title": "hi"}}
    path = f"{PREFIX}/hubs/app/notifications"
    for authorization in (bearer("operator"), "Bearer canary-operate-next", "Bearer canary-shared"):
        answer = await ask(daemon, "POST", path, authorization, json=send, headers={"pushbridge-actor": "boss"})
        assert answer.status_code == 201, answer.text
    rows = (await daemon.hub.store.audit(limit=10)).items
    assert sorted(row.entry.actor for row in rows) == ["ann", "ann", "boss"]


@pytest.mark.parametrize("role, status", [("viewer", 403), ("operator", 200), ("admin", 200)])
async def test_to_reload_takes_an_operator(daemon: Daemon, role: str, status: int) -> None:
    answer = await ask(daemon, "POST", "/-/reload", bearer(role))
    assert answer.status_code == status
    assert status == 200 or "needs the role operator, and board is viewer" in answer.text


async def test_a_browser_shows_a_named_token_as_the_password_of_anybody(daemon: Daemon) -> None:
    for password, status in (("canary-view", 200), ("canary-shared", 200), ("another", 401), ("", 401)):
        shown = "Basic " + base64.b64encode(f"x:{password}".encode()).decode()
        assert (await ask(daemon, "GET", f"{PREFIX}/status", shown)).status_code == status
    assert (await ask(daemon, "GET", f"{PREFIX}/status", "Digest canary-view")).status_code == 401
    assert (await ask(daemon, "GET", "/metrics", bearer("viewer"))).status_code == 200


@pytest.mark.parametrize(
    "auth, complaint",
    [
        ("{ tokens: [] }", "write bearer, basic, tokens, oidc or proxy"),
        ("{ tokens: [{ name: a, role: boss, token: x }] }", "'viewer', 'operator' or 'admin'"),
        (
            "{ tokens: [{ name: a, role: viewer, token: x }, { name: a, role: admin, token: y }] }",
            "two tokens are called a",
        ),
        ("{ bearer: x, tokens: [{ name: a, role: viewer, token: x }] }", "one token is written twice"),
        ("{ tokens: [{ name: 'a b', role: viewer, token: x }] }", "expected a name"),
    ],
)
def test_mistakes_of_tokens_are_named(tmp_path: Path, auth: str, complaint: str) -> None:
    text = f"listeners: {{ admin: {{ auth: {auth} }} }}\n"
    assert any(complaint in line for line in complaints(tmp_path, text)), complaints(tmp_path, text)
