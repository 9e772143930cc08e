"""`pushbridge schema`: what a configuration, or a file of tests, may hold, for editors and for people."""

from typing import Annotated

import typer


def schema(
    reference: Annotated[bool, typer.Option("--reference", help="The page docs/configuration.md instead.")] = False,
    tests: Annotated[bool, typer.Option("--tests", help="The schema of files *.test.yaml instead.")] = False,
) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    if reference:
        from bridge.config.reference import reference as page

        typer.echo(page(), nl=False)
        return
    import json

    if tests:
        from bridge.trial.suite.schema import tests_schema as schema_made
    else:
        from bridge.config.schema import json_schema as schema_made

    typer.echo(json.dumps(schema_made(), indent=2, ensure_ascii=False))
