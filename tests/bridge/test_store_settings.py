"""`bridge.store`: which addresses are taken, and what of a wrong one is named."""

from pathlib import Path

import pytest

from bridge.config.load import check
from bridge.config.models.document import Settings
from hub.tls import Tls


def checked(directory: Path, store: str) -> tuple[Settings | None, str]:
    """The settings, None for a refused configuration, and what was said."""
    file = directory / "pushbridge.yaml"
    file.write_text(f"version: 1\nbridge: {{ store: {{ {store} }} }}\nsources: {{}}\n")
    settings, problems = check([file])
    return settings, " ".join(map(str, problems))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ann:secret@db/push", "a password stands in the address"),
        ("postgresql://ann@db/push?password=secret", "a password stands in the address"),
        ("postgresql://ann@db", "there is no database in the address"),
        ("postgresql:///push", "there is no host in the address"),
        ("postgresql://db:port/push", "not an address of PostgreSQL"),
        ("mysql://db/push", "not a store"),
    ],
)
def test_a_wrong_address_is_named_without_its_password(tmp_path: Path, url: str, words: str) -> None:
    settings, said = checked(tmp_path, f"url: '{url}'")
    assert settings is None
    assert words in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "url", ["postgresql://ann@db:5433/push", "postgres://db/push", "postgresql:///push?host=/run/postgresql"]
)
def test_an_address_of_postgresql_is_taken(tmp_path: Path, url: str) -> None:
    settings, said = checked(tmp_path, f"url: '{url}', tls: {{}}")
    assert settings is not None, said
    assert settings.store_name == url
    assert settings.bridge.store.tls == Tls()


def test_keys_of_postgresql_are_refused_for_a_file_and_a_missing_password_is_named(tmp_path: Path) -> None:
    _, said = checked(tmp_path, "tls: {}")
    assert "password_file and tls are for PostgreSQL" in said
    _, said = checked(tmp_path, "url: 'postgresql://db/push', password_file: gone")
    assert "there is no file" in said


def test_a_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.config.models.store.find_spec", lambda name: None)
    _, said = checked(tmp_path, "url: 'postgresql://db/push'")
    assert "install pushbridge[postgres]" in said
