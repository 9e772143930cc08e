"""Files in settings."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo


def _existing(path: Path, info: ValidationInfo) -> Path:
    path = (info.context or {}).get("directory", Path()) / path
    try:
        is_file = path.is_file()
    except OSError:  # a name that no file can have
        is_file = False
    if not is_file:
        raise ValueError(f"there is no file {path}")
    return path


ExistingFile = Annotated[Path, AfterValidator(_existing)]
"""A relative path begins at the configuration's directory, which is in the context of validation."""
