"""`pushbridge schema`: what a configuration may hold, for editors and for people."""

from typing import Annotated

import typer


def schema(
    reference: Annotated[bool, typer.Option("--reference", help="The page docs/configuration.md instead.")] = False,
) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    if reference:
        from bridge.config.reference import reference as page

        typer.echo(page(), nl=False)
        return
    import json

    from bridge.config.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
