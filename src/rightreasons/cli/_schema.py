"""`rightreasons schema`: print the JSON Schema of recipes."""

import json

import typer


def schema() -> None:
    """Print the JSON Schema of recipes, with which editors complete keys and mark mistakes.

    Save it, and begin a recipe with the line: # yaml-language-server: $schema=recipe.schema.json
    """
    from rightreasons.recipes import json_schema

    typer.echo(json.dumps(json_schema(), indent=1))
