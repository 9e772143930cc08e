"""The program of the schema's version before, kept beside the tests: a clone need not have the history to run it.

`python -m tests.integration.before COMMIT` keeps that of another commit. It is renewed when a version is released.
"""

import lzma
import subprocess
import sys
import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).with_suffix(".tar.xz")
PACKAGES = ("bridge", "connectors", "hub", "rules")


def unpack(directory: Path) -> Path:
    """The directory, with the packages in it."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    return directory


def schema_of(tree: Path) -> int:
    """The newest version of the schema that a program knows."""
    return max(int(each.name) for each in (tree / "hub" / "store" / "schema").iterdir() if each.name.isdigit())


def main() -> None:
    (commit,) = sys.argv[1:]
    packed = subprocess.run(["git", "archive", commit, *PACKAGES], capture_output=True, check=True).stdout
    ARCHIVE.write_bytes(lzma.compress(packed, preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    main()
