"""What a configuration says about files: where they come, when they are complete, what becomes of them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from connectors.duration import Duration


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


def _from_directory(path: Path, info: ValidationInfo) -> Path:
    directory: Path = (info.context or {}).get("directory", Path())
    return directory / path


Folder = Annotated[Path, AfterValidator(_from_directory)]
"""A relative path begins at the configuration's directory."""


class Reception(_Settings):
    """How many records are taken at a time."""

    max_in_flight: int = Field(default=1000, ge=1, le=100_000)
    """Records that were read and are not yet settled, at most."""


class FilesSettings(_Settings):
    """Files of a directory as messages: each file, or each line of it."""

    path: Folder
    """The directory where files come. It is not created, and directories below it are not looked into."""
    pattern: Annotated[str, Field(min_length=1, pattern=r"^[^/]+$")] = "*"
    """Which files are taken, with * and ?. Files that begin with a dot or end in .tmp, .part or .filepart never are."""
    claim: Literal["rename"] = "rename"
    """How a file becomes ours before it is read: it is renamed into the directory .pushbridge below path."""
    settle: Annotated[Duration, Field(ge=0, le=86400)] = 5.0
    """How long size and time of change have to stay the same before a file is taken; 0 where writers rename into place."""
    records: Literal["file", "lines"] = "file"
    """Whether the whole file is one message, or each of its lines that is not empty."""
    skip: Annotated[int, Field(ge=0, le=1000)] = 0
    """Lines at the beginning of each file that are no records, such as the names of columns; with `records: lines`."""
    done: Literal["delete", "move"] = "delete"
    """What becomes of a file whose records are all in the store."""
    move_to: Folder | None = None
    """Where files go with `done: move`; the directory has to exist, on the same file system as path."""
    poll: Annotated[Duration, Field(ge=0.05, le=86400)] = 2.0
    """How long the source waits before it looks for files again, when there was none to be taken."""
    receive: Reception = Reception()
    """How much is taken at a time."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.done == "move") != (self.move_to is not None):
            raise ValueError("done: move and move_to go together")
        if self.skip and self.records != "lines":
            raise ValueError("skip is for records: lines")
        return self
