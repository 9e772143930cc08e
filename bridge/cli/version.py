"""`pushbridge version`, and `pushbridge --version`."""

import typer


def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    typer.echo(version_of("pushbridge"))


def print_version(wanted: bool) -> None:
    """The option `--version`. Raises: typer.Exit."""
    if wanted:
        version()
        raise typer.Exit
