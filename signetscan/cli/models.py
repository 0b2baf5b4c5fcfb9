"""`signetscan models`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, json_result, result

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.models.known_models import KnownModel


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context, /) -> None:
    """List the models that are known by name, and add your own."""
    if context.invoked_subcommand is None:
        context.invoke(list_models)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
def list_models(*, as_json: bool = False) -> None:
    """Print what each model says of itself.

    These are the names that --model knows: models that ship with signetscan, and those that you added. `signetscan
    models` prints the same, and `signetscan info NAME` all that there is to know about one of them.

    Example: signetscan models list
    """
    from signetscan.models.known_models import known_models

    known = known_models()
    if as_json:
        json_result([_facts(model) for model in known], indent=2)
        return
    for model in known:
        result(_line(model))


@models.command()
@click.argument("file", type=FILE)
@click.option("--overwrite", is_flag=True, help="Replace a model of yours that has the same name.")
def add(file: Path, *, overwrite: bool) -> None:
    """Copy a model FILE to your models, so that --model knows its name.

    The name is that of FILE without .onnx. The file is checked first, as if it were to be used.

    Example: signetscan models add mine.onnx

    Then:    signetscan detect slide.svs --model mine
    """
    from signetscan.models.known_models import add_model

    added = add_model(file, overwrite=overwrite)
    result(f"{added.path}: known as {added.name}")


def _line(model: KnownModel) -> str:
    named = f"{model.name} ({model.role})" if model.role else model.name
    spec = model.spec
    if spec is None:
        return f"{named}: cannot be used: {model.problem}"
    what = f"{spec.task} at {spec.mpp:g} µm/px: {', '.join(spec.class_names)}"
    source = "ships with signetscan" if model.ships else str(model.path)
    return f"{named}: {what}; learnt from: {spec.learnt_from}; licence: {spec.licence}; {source}"


def _facts(model: KnownModel) -> dict[str, object]:
    spec = model.spec
    facts: dict[str, object] = {"name": model.name, "role": model.role or None, "file": str(model.path)}
    if spec is None:
        return facts | {"problem": model.problem}
    return facts | {
        "task": spec.task,
        "mpp": spec.mpp,
        "class_names": spec.class_names,
        "training_data": spec.training_data,
        "licence": spec.licence,
        "cautions": spec.cautions,
    }
