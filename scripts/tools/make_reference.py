"""Write docs/reference.md, and the fields in docs/model-contract.md, from the code: run it after a change of options.

python scripts/tools/make_reference.py [--check]
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signetscan.cli import statuses
from signetscan.cli.config import PREFIX
from signetscan.cli.main import cli
from signetscan.models import spec as model_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DOCS = Path(__file__).parents[2] / "docs"
MARK = "<!-- Made by scripts/tools/make_reference.py; edits are lost. -->"
HEAD = f"""{MARK}

# Reference

Every option can be given by the environment, as `{PREFIX}_COMMAND_OPTION`, or in `signetscan.toml` under `[command]`
([Settings](batch.md#settings)); of a command of two words by the environment alone, as `{PREFIX}_SIMULATE_SLIDE_WIDTH`.

## Exit statuses
"""


def attribute_texts(source: str) -> dict[str, str]:
    """The text below each assignment of a module or class, by the name that it assigns."""
    texts = {}
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for one, other in pairwise(body) if isinstance(body, list) else ():
            target = one.target if isinstance(one, ast.AnnAssign) else getattr(one, "targets", [None])[0]
            if not isinstance(target, ast.Name) or not isinstance(other, ast.Expr):
                continue
            if isinstance(other.value, ast.Constant) and isinstance(other.value.value, str):
                texts[target.id] = " ".join(other.value.value.split())
    return texts


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands with their words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...]) -> str:
    """A table in Markdown."""
    escaped = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, tuple("---" for _ in head), *escaped]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def about(path: tuple[str, ...], command: click.Command) -> str:
    """A command, in Markdown: what its help says, and its options."""
    context = click.Context(command, info_name=" ".join(path), parent=cli.make_context("signetscan", list(path)))
    words = " ".join(["signetscan", *path, *command.collect_usage_pieces(context)])
    rows = []
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None:
            rows.append((f"`{record[0]}`", record[1]))
    text = inspect.cleandoc(command.help or "")
    return f"## {' '.join(path)}\n\n```text\n{words}\n```\n\n{text}\n\n{table(rows, ('option', ''))}"


def reference() -> str:
    """The page of all commands."""
    texts = attribute_texts(inspect.getsource(statuses))
    rows = [("0", "All that was asked for is done.")]
    rows += [(str(getattr(statuses, name)), text) for name, text in texts.items()]
    return "\n".join([HEAD, table(rows, ("status", "")), *(about(*each) for each in commands(cli))])


def contract(page: str) -> str:
    """The page of the model contract, with the fields of the code."""
    texts = attribute_texts(inspect.getsource(model_spec.ModelSpec))
    rows = [
        (
            f"`{field.name}`",
            str(field.type),
            "may be left out" if field.default is not MISSING else "",
            texts[field.name],
        )
        for field in fields(model_spec.ModelSpec)
    ]
    start, end = "<!-- fields, by scripts/tools/make_reference.py -->\n", "<!-- end of the fields -->"
    before, rest = page.split(start)
    return before + start + table(rows, ("field", "type", "", "meaning")) + end + rest.split(end)[1]


def main() -> None:
    """Write the pages, or say whether they are as they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a page is out of date")
    check = parser.parse_args().check
    page = DOCS / "model-contract.md"
    wanted = {DOCS / "reference.md": reference(), page: contract(page.read_text(encoding="utf-8"))}
    for path, text in wanted.items():
        if check and path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.name} is out of date: python scripts/tools/make_reference.py")
        if not check:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
