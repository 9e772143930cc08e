"""What `pushbridge doctor` prints for people stands in columns, however long a name is."""

import pytest

from bridge.cli.doctor import _print


def test_a_long_name_moves_the_texts_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    _print(
        [
            {"name": "sandbox/fcm", "health": "ok", "text": "A token", "cure": None},
            {"name": "sandbox/webpush", "health": "failed", "text": "A refusal", "cure": "another key"},
        ]
    )
    first, second, cure = capsys.readouterr().out.splitlines()
    assert first.index("A token") == second.index("A refusal") == cure.index("cure: another key")
