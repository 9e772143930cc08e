"""A configuration with files of tests beside it, and `pushbridge test` on them."""

from pathlib import Path

from typer.testing import CliRunner, Result

from bridge.cli.main import app

CONFIGURATION = """
version: 1
sources:
  bank:
    http: { path: /in/bank }
    map: { id: "{{ data.id }}", type: "bank.{{ data.kind }}" }
  orders: { rabbitmq: { url: "${env:NO_SUCH_SECRET:-amqp://127.0.0.1}", queue: { name: q } } }
rules:
  - name: large
    source: bank
    match: { type: bank.debit, data: { amount: { gte: 100, lt: 1000 } } }
    when: "data.currency == 'CHF' or data.vip and not data.test | default(false)"
    push:
      to: "customer:{{ data.customer }}"
      with: { title: "Debit {{ data.amount }}", body: "of {{ data.customer }}" }
      collapse: "debit-{{ data.id }}"
  - name: quiet
    source: bank
    match: { type: [bank.test, bank.trial] }
    stop: true
  - name: audit
    source: bank
    push: { to: everyone, native: { apns: { payload: { aps: { content-available: 1 } } } }, priority: normal }
  - name: orders
    source: orders
    match: { meta: { message_id: { exists: true } } }
    push: { to: { user: "{{ data.user }}" }, with: { title: hi } }
hubs:
  acme: { default: true, PLATFORMS }
  other: {}
"""
DEBIT = "{ id: p1, kind: debit, amount: 500, currency: CHF, customer: c9 }"


def write_tests(directory: Path, text: str) -> None:
    (directory / "acme.test.yaml").write_text(text)


def steps(directory: Path, *lines: str, devices: str = "") -> None:
    """One test of these steps."""
    head = f"tests:\n  - name: it\n    devices: [ {devices} ]\n    steps:\n"
    write_tests(directory, head + "".join(f"      - {line}\n" for line in lines))


def run(directory: Path, *options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["test", str(directory), *options])
    assert result.exit_code == code, result.output
    return result
