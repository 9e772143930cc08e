"""Old spellings of keys: accepted, named once, and no second word beside the present one."""

from pathlib import Path

from bridge.config.load import check
from bridge.config.models import Settings
from connectors.rabbitmq.settings import DeadLetterExchange, RabbitMqSettings
from rules.problems import Problem

QUEUE = "{ url: 'amqp://x', queue: { name: q } }"


def checked(text: str, directory: Path) -> tuple[Settings | None, list[Problem]]:
    (directory / "c.yaml").write_text(text)
    return check(directory / "c.yaml", environ={})


def test_amqp_is_rabbitmq_wherever_a_connector_is_named_and_is_told_of_once(tmp_path: Path) -> None:
    text = f"""
sources:
  a: {{ amqp: {QUEUE}, map: {{ id: "{{{{ data.id }}}}" }} }}
  b: {{ amqp: {QUEUE}, map: {{ id: "{{{{ data.id }}}}" }} }}
dead_letter: {{ sources: {{ a: {{ amqp: {{ exchange: dead, key: 5 }} }} }} }}
"""
    settings, problems = checked(text, tmp_path)
    assert [str(problem).partition("c.yaml:")[2] for problem in problems] == [
        "3:8: sources.a.amqp: warning: is an old spelling (write rabbitmq)"
    ]
    assert settings is not None
    assert all(isinstance(source.connector_settings, RabbitMqSettings) for source in settings.sources.values())
    assert settings.dead_letter.sources["a"].place is not None
    assert settings.dead_letter.sources["a"].place[1] == DeadLetterExchange(exchange="dead", key="5")


def test_a_mistake_below_an_old_key_is_named_as_it_is_written(tmp_path: Path) -> None:
    _, problems = checked(f"sources: {{ a: {{ amqp: {QUEUE.replace('name', 'nme')}, map: {{ id: x }} }} }}", tmp_path)
    assert "sources.a.amqp.queue.nme" in [problem.key for problem in problems]


def test_an_old_spelling_beside_the_present_one_is_a_mistake(tmp_path: Path) -> None:
    settings, problems = checked(
        f"sources: {{ a: {{ rabbitmq: {QUEUE}, amqp: {QUEUE}, map: {{ id: '{{{{ data.id }}}}' }} }} }}", tmp_path
    )
    assert settings is None
    assert [(problem.key, problem.message) for problem in problems] == [
        ("sources.a.amqp", "is an old spelling of rabbitmq, which stands beside it")
    ]


def test_dead_letters_go_to_no_place_of_another_broker(tmp_path: Path) -> None:
    text = """
sources: { a: { servicebus: { queue: { name: q } } } }
dead_letter: { sources: { a: { rabbitmq: { exchange: x, key: y } } } }
"""
    _, problems = checked(text, tmp_path)
    found = [problem.message for problem in problems if problem.key == "dead_letter.sources.a.rabbitmq"]
    assert found == ["the source is of Service Bus"]
