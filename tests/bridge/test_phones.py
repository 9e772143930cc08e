"""Phones that register with their user's token, as a daemon has them: written again by a command, served after a reload."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from bridge.app import Daemon
from bridge.cli.main import app
from bridge.config.models.document import Settings
from bridge.observe.fact_log import FactLog
from bridge.phones import offer_of
from hub.facts import PhoneAnswered
from hub.phone import PhoneOperation, PhoneOutcome
from hub.registration.errors import RefusedError
from hub.registration.offer import User
from tests.bridge.examples import read
from tests.bridge.test_admin_api import CONFIGURATION, TOKEN
from tests.bridge.test_client_commands import Shell
from tests.hub.store.suite.phones import phone_of

REGISTRATION = (
    "{{ registration: {{ auth: {{ oidc: {{ issuer: https://login.acme.example, audience: acme-mobile }} }},"
    ' tags: [ "customer:{{{{ claims.customer_id }}}}" ], max_phones: %d }} }}'
)


def settings_of(directory: Path, *, max_phones: int = 5) -> Settings:
    with_phones = CONFIGURATION.replace("spare: {{}}", f"spare: {REGISTRATION % max_phones}")
    return read(directory, with_phones.format(token=f", admin_token: {TOKEN}"))


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"sub": "ann"}, "claims.customer_id"),
        ({"customer_id": "7"}, "claims.sub"),
        ({"sub": "ann", "customer_id": "7 || vip"}, "tag: it has to be"),
        ({"sub": "ann", "customer_id": ["7", "8"]}, "tag"),
        ({"sub": "ann", "customer_id": "7" * 120}, "tag: it has to be"),
        ({"sub": "auth0|ann", "customer_id": "7"}, "user: it has to be"),
        ({"sub": "", "customer_id": "7"}, "user"),
        ({"sub": "ann}", "customer_id": "7"}, "user: it has to be"),
    ],
)
def test_claims_that_make_no_user_or_tag_are_refused_by_name_and_without_their_value(
    claims: dict[str, Any], said: str, tmp_path: Path
) -> None:
    registration = settings_of(tmp_path).hubs["spare"].registration
    assert registration is not None
    offer = offer_of(registration)
    assert offer.user_of({"sub": "Ann", "customer_id": 7}) == User(id="Ann", tags=("customer:7",))
    with pytest.raises(RefusedError, match=said) as caught:
        offer.user_of(claims)
    assert caught.value.outcome is PhoneOutcome.UNAUTHORIZED
    assert not any(str(value) in str(caught.value) for value in claims.values() if len(str(value)) > 3)


@asynccontextmanager
async def running(settings: Settings, directory: Path) -> AsyncIterator[Shell]:
    daemon = Daemon(settings, config="c.yaml")
    with capture_logs():
        async with daemon.running():
            yield Shell(daemon, directory)


@pytest.mark.slow
async def test_all_phones_of_a_hub_are_written_again_by_a_command(tmp_path: Path) -> None:
    async with running(settings_of(tmp_path), tmp_path) as shell:
        store = shell.daemon.hub.store
        for user in ("ann", "bob"):
            phone = await store.put_phone("spare", phone_of(user), topics={})
            assert await store.phone_written("spare", phone, "digest")
        said = await shell.run("devices", "rewrite", "--hub", "spare")
        assert said.stdout == "2 devices of the hub spare are written again\n"
        assert len(await store.unwritten_phones("spare", unchanged_for=0, limit=9)) == 2
        (entry,) = (await store.audit(limit=9)).items
        assert (entry.entry.action, entry.entry.target) == ("phones.rewrite", "spare")
        assert "has no registration" in await shell.error("devices", "rewrite", "--hub", "app", code=5)


async def test_a_reload_serves_phones_at_once_and_keeps_what_stays(tmp_path: Path) -> None:
    without = read(tmp_path, CONFIGURATION.format(token=f", admin_token: {TOKEN}"))
    async with running(without, tmp_path) as shell, httpx.AsyncClient(verify=False, timeout=60) as client:
        daemon = shell.daemon
        assert daemon.api is not None
        url = "http://{}:{}/spare/register".format(*daemon.api.address)

        async def refusal() -> str:
            answer = await client.post(url, json={})
            return f"{answer.status_code} {answer.headers['content-type'].partition(';')[0]}"

        assert await refusal() == "404 application/xml"
        await daemon.apply(settings_of(tmp_path), config_hash="1")
        assert await refusal() == "401 application/json"
        (service,) = daemon.phones.services.values()
        await daemon.apply(settings_of(tmp_path), config_hash="2")
        assert list(daemon.phones.services.values()) == [service]
        await daemon.apply(settings_of(tmp_path, max_phones=9), config_hash="3")
        (changed,) = daemon.phones.services.values()
        assert (service.offer.max_phones, changed.offer.max_phones) == (5, 9)
        await daemon.apply(without, config_hash="4")
        assert await refusal() == "404 application/xml"


def test_what_keeps_phones_from_an_answer_is_a_line_for_each_cause_until_one_is_answered_again() -> None:
    log = FactLog()

    def answered(outcome: PhoneOutcome, detail: str = "") -> None:
        fact = PhoneAnswered(hub="spare", operation=PhoneOperation.UPDATE, outcome=outcome, detail=detail)
        log.takes[PhoneAnswered](fact)

    with capture_logs() as lines:
        for detail in ("provider away", "provider away", "remote hub away"):
            answered(PhoneOutcome.UNAVAILABLE, detail)
        answered(PhoneOutcome.UNCHANGED)
        answered(PhoneOutcome.UNAVAILABLE, "provider away")
        answered(PhoneOutcome.FORBIDDEN_TAG, "tags")
    assert [(line["event"], line["detail"]) for line in lines] == [
        ("phones cannot be answered", "provider away"),
        ("phones cannot be answered", "remote hub away"),
        ("phones cannot be answered", "provider away"),
        ("phone refused", "tags"),
    ]


def test_tests_of_rules_know_levels(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(
        "sources: { bank: { http: { path: /in/bank, auth: { bearer: '${env:X:-x}' } }, map: { id: '{{ data.id }}' } } }\n"
        "hubs: { app: { registration: { auth: { oidc: { issuer: 'https://a.example', audience: b } },"
        " topics: { debits: { levels: [100, 500] } } } } }\n"
        "rules: [ { name: debit, push: { to: topic:debits, level: '{{ data.amount }}', with: { title: x } } } ]\n"
    )
    steps = [
        "{ event: { source: bank, data: { id: 1, amount: 99 } }, expect: { rules: [], pushes: [] } }",
        "{ event: { source: bank, data: { id: 2, amount: 100 } }, expect: { pushes: [ { devices: [low] } ] } }",
        "{ event: { source: bank, data: { id: 3, amount: 500 } }, expect: { pushes: [ { devices: [low, high] } ] } }",
    ]
    (tmp_path / "acme.test.yaml").write_text(
        "config: acme.yaml\ntests:\n  - name: levels\n"
        "    devices: [ { id: low, tags: [topic:debits, 'topic:debits:100'] }, { id: high, tags: ['topic:debits:500'] } ]\n"
        f"    steps: [ {', '.join(steps)} ]\n"
    )
    result = CliRunner().invoke(app, ["test", str(tmp_path), "--fail-under", "100"])
    assert result.exit_code == 0, result.output
