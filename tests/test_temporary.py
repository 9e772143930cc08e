"""Temporary files of tests are in memory where that is possible and not chosen otherwise."""

import tempfile
from pathlib import Path

import pytest

from tests.temporary import keep_in_memory


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)


def test_a_directory_with_room_becomes_the_one_of_temporary_files(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    assert keep_in_memory(tmp_path, room=1, environ=environ)
    assert environ == {"TMPDIR": str(tmp_path)}
    assert tempfile.tempdir is None


@pytest.mark.parametrize(
    ("name", "room", "environ"),
    [("", 2**80, {}), ("missing", 1, {}), ("", 1, {"TMPDIR": "/chosen"})],
    ids=["too small", "missing", "chosen"],
)
def test_otherwise_they_stay_where_they_are(tmp_path: Path, name: str, room: int, environ: dict[str, str]) -> None:
    before = dict(environ)
    assert not keep_in_memory(tmp_path / name, room=room, environ=environ)
    assert environ == before
