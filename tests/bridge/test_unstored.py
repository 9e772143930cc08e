"""What `check` says of a configuration that hands over at once, and asks of a store that may be lost."""

from pathlib import Path

from bridge.config.load import check

REMOTE = (
    'remote: { connection_string: "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=${env:KEY:-k}",'
    " durability: remote }"
)


def said(directory: Path, rules: str = "", sources: str = "", more: str = "", remote: str = REMOTE) -> list[str]:
    file = directory / "a.yaml"
    file.write_text(
        "sources:\n"
        f"  {{ web: {{ http: {{ path: /in/web, auth: {{ bearer: '${{env:T:-t}}' }} }}, map: {{ id: x }} }}{sources} }}\n"
        f"hubs: {{ app: {{ {remote} }} }}\n{more}\n"
        f"rules:\n  - {{ name: r, push: {{ to: everyone, with: {{ a: b }} }}{rules} }}\n"
    )
    _, problems = check(file, environ={})
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
