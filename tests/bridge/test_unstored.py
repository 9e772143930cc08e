"""What `check` says of a configuration that hands over at once, and asks of a store that may be lost."""

from pathlib import Path

import pytest

from bridge.config import unstored
from bridge.config.load import check
from bridge.config.unstored import has_an_outbox
from hub.store.sqlite.volume import Volume, VolumeKind

REMOTE = (
    'remote: { connection_string: "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=${env:KEY:-k}",'
    " durability: remote }"
)


def said(
    directory: Path,
    rules: str = "",
    sources: str = "",
    more: str = "",
    remote: str = REMOTE,
    *,
    no_secrets: bool = False,
) -> list[str]:
    file = directory / "a.yaml"
    file.write_text(
        "sources:\n"
        f"  {{ web: {{ http: {{ path: /in/web, auth: {{ bearer: '${{env:T:-t}}' }} }}, map: {{ id: x }} }}{sources} }}\n"
        f"hubs: {{ app: {{ {remote} }} }}\n{more}\n"
        f"rules:\n  - {{ name: r, push: {{ to: everyone, with: {{ a: b }} }}{rules} }}\n"
    )
    _, problems = check(file, environ={}, no_secrets=no_secrets)
    return [str(problem).partition("a.yaml:")[2] for problem in problems if "map.id" not in str(problem)]


RABBIT = ", mq: { rabbitmq: { url: 'amqp://h', queue: { name: q } }, map: { id: '{{ data.id }}' } }"
SINK = "sinks: { done: { http: { url: 'https://h/x' } } }"


def test_nothing_is_said_of_a_sidecar_that_needs_no_store(tmp_path: Path) -> None:
    assert said(tmp_path) == []


def test_a_notification_for_later_has_nowhere_to_wait(tmp_path: Path) -> None:
    (found,) = said(tmp_path, rules=", schedule: { at: '{{ data.at }}' }")
    assert (
        "rules[0].schedule.at: a notification for later waits in the store, and hub app has durability: remote" in found
    )
    assert (
        said(tmp_path, rules=", schedule: { at: '{{ data.at }}' }", remote=REMOTE.replace("durability: remote", ""))
        == []
    )


def test_reports_have_nothing_to_be_made_of(tmp_path: Path) -> None:
    found = said(tmp_path, rules=", report_to: done", more=SINK)
    assert any("rules[0].report_to: reports are made of the store" in line for line in found), found


def test_dead_letters_of_a_broker_have_to_have_a_place_with_the_broker(tmp_path: Path) -> None:
    (found,) = said(tmp_path, sources=RABBIT)
    assert "sources.mq: warning: its dead letters are in the store alone, which may be lost" in found
    assert "dead_letters.sources.mq: { native: true }" in found
    assert said(tmp_path, sources=RABBIT, more="dead_letters: { sources: { mq: { native: true } } }") == []


def test_a_mirrored_hub_has_to_keep_what_it_compares(tmp_path: Path) -> None:
    found = said(tmp_path, remote=f"{REMOTE}, mirror: local")
    assert any("remote.durability: remote keeps nothing here that mirror could compare" in line for line in found), (
        found
    )


@pytest.mark.parametrize("durability", ["remote", "local"])
@pytest.mark.parametrize("no_secrets", [False, True])
def test_an_outbox_that_would_be_lost_is_said_where_the_daemon_is_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str, no_secrets: bool
) -> None:
    layer = Volume(mount="/", file_system="overlay", kind=VolumeKind.LAYER)
    monkeypatch.setattr(unstored, "volume_of", lambda path: layer)
    remote = REMOTE.replace("durability: remote", f"durability: {durability}")
    found = said(tmp_path, remote=remote, no_secrets=no_secrets)
    expected = durability == "local" and not no_secrets
    assert (
        any("a daemon does not start here: / is an overlay, which is lost with the container" in x for x in found)
        == expected
    )
    allowed = "bridge: { store: { allow_ephemeral: true } }"
    assert said(tmp_path, remote=remote, more=allowed, no_secrets=no_secrets) == []


def test_a_relay_is_where_a_hub_is_remote_and_its_events_are_settled_before(tmp_path: Path) -> None:
    text = "hubs: { here: { default: true }, there: { %s } }"
    for durability, expected in (("remote", False), ("local", True)):
        (tmp_path / "c.yaml").write_text(text % REMOTE.replace("durability: remote", f"durability: {durability}"))
        settings, problems = check(tmp_path / "c.yaml", environ={})
        assert settings is not None, problems
        assert has_an_outbox(settings.hubs) is expected
