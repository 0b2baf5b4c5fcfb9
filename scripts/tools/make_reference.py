"""Write docs/reference.md, docs/api.md, and the fields in docs/model-contract.md, from the code.

Run it after a change of options, of a public name, or of its docstring:

python scripts/tools/make_reference.py [--check]
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from dataclasses import MISSING, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

import signetscan
from signetscan.cli import statuses
from signetscan.cli.config import PREFIX
from signetscan.cli.main import cli
from signetscan.models.detection_spec import DetectionSpec
from signetscan.models.segmentation_spec import SegmentationSpec
from signetscan.models.spec import OPTIONAL, ModelSpec
from signetscan.options import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from dataclasses import Field

DOCS = Path(__file__).parents[2] / "docs"
MARK = "<!-- Made by scripts/tools/make_reference.py; edits are lost. -->"
HEAD = f"""{MARK}

# Reference

Every option can be given by the environment, as `{PREFIX}_COMMAND_OPTION`, or in `signetscan.toml` under `[command]`
([Settings](batch.md#settings)); of a command of two words by the environment alone, as `{PREFIX}_SIMULATE_SLIDE_WIDTH`.

## Exit statuses
"""


API_HEAD = f"""{MARK}

# Python API

What `import signetscan` offers. Modules below it have more; a name without an underscore is for use by others.
Boxes are x0, y0, x1, y1; level-0 pixels are those of a slide at full size.
"""
WIDTH = 100
"""Longest signature on one line."""
SECTIONS = ("Args", "Raises", "Returns", "Yields")
"""Parts of a docstring that are shown as lists or paragraphs with a heading."""


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


class Written(str):
    """An annotation as it stands in the code; `inspect` would show a text in quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def signature(name: str, function: Callable[..., object], *, bound: bool = False) -> str:
    """How to call a function or a bound method: on one line, or with a line for each parameter."""
    whole = inspect.signature(function)
    parameters = [each.replace(annotation=written(each.annotation)) for each in whole.parameters.values()][bound:]
    shown = str(whole.replace(parameters=parameters, return_annotation=written(whole.return_annotation)))
    if len(name + shown) <= WIDTH:
        return name + shown
    lines = [f"    {each},\n" for each in parameters]
    first = next((n for n, each in enumerate(parameters) if each.kind is each.KEYWORD_ONLY), None)
    if first is not None:
        lines.insert(first, "    *,\n")
    return f"{name}(\n{''.join(lines)}){shown[shown.rindex(' ->') :]}"


def written(annotation: object) -> object:
    """An annotation for display."""
    return Written(annotation) if isinstance(annotation, str) else annotation


def described(thing: object) -> str:
    """A docstring in Markdown."""
    blocks = []
    for block in (inspect.getdoc(thing) or "").split("\n\n"):
        title, _, rest = block.partition(":\n")
        if title not in SECTIONS:
            blocks.append(block)
            continue
        lines = inspect.cleandoc(rest)
        # Lines that are indented further go on with the one above.
        lines = re.sub(r"\n +", " ", lines)
        listed = title in {"Args", "Raises"}
        items = [re.sub(r"^(\w+): ", r"- `\1`: ", line) for line in lines.splitlines()] if listed else [lines]
        blocks.append("\n".join([f"{title.replace('Args', 'Arguments')}:\n", *items]))
    return "\n\n".join(blocks) + "\n"


def default_of(field: Field[object]) -> str:
    """The default of a field; empty where there is none."""
    if field.default is not MISSING:
        return f"`{field.default!r}`"
    made = field.default_factory
    return "" if made is MISSING else f"`{getattr(made, '__name__', 'made')}()`"


def field_rows(cls: type) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and meaning of the fields of a dataclass."""
    abouts = options_of(cls)
    texts: dict[str, str] = {}
    for base in filter(is_dataclass, reversed(cls.__mro__)):
        texts |= attribute_texts(inspect.getsource(base))
    for field in fields(cls):
        about, default = abouts.get(field.name), default_of(field)
        text = texts.get(field.name, "")
        if about is not None:
            allowed = " ".join([about.range or "in", about.unit]).strip() if about.range or about.unit else ""
            text = f"{about.help} {allowed[:1].upper()}{allowed[1:]}." if allowed else about.help
            default = about.default or default
        yield f"`{field.name}`", f"`{field.type}`", default, text


def members(name: str, cls: type) -> Iterator[str]:
    """The public methods and properties that a class defines."""
    for key, member in vars(cls).items():
        if key.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"`{name}.{key}`: {described(member)}"
        elif isinstance(member, classmethod | staticmethod) or inspect.isfunction(member):
            shown = signature(f"{name}.{key}", getattr(cls, key), bound=inspect.isfunction(member))
            yield f"```python\n{shown}\n```\n\n{described(getattr(cls, key))}"


def api() -> str:
    """The page of all public names."""
    parts = [API_HEAD]
    for name in signetscan.__all__:
        thing = getattr(signetscan, name)
        parts.append(f"## {name}\n\nFrom `{thing.__module__}`.\n")
        if inspect.isclass(thing):
            parts.append(described(thing))
            if is_dataclass(thing):
                parts.append(table(list(field_rows(thing)), ("field", "type", "default", "")))
            parts += members(name, thing)
        else:
            parts.append(f"```python\n{signature(name, thing)}\n```\n\n{described(thing)}")
    return "\n".join(parts)


def contract(page: str) -> str:
    """The page of the model contract, with the fields of the code."""
    shared = {field.name for field in fields(ModelSpec)}
    for spec in (ModelSpec, DetectionSpec, SegmentationSpec):
        texts = attribute_texts(inspect.getsource(spec))
        rows = [
            (f"`{field.name}`", str(field.type), "may be left out" if field.name in OPTIONAL else "", texts[field.name])
            for field in fields(spec)
            if spec is ModelSpec or field.name not in shared
        ]
        start, end = f"<!-- fields of {spec.__name__}, by scripts/tools/make_reference.py -->\n", "<!-- end -->"
        before, rest = page.split(start)
        page = before + start + table(rows, ("field", "type", "", "meaning")) + end + rest.split(end, 1)[1]
    return page


def main() -> None:
    """Write the pages, or say whether they are as they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a page is out of date")
    check = parser.parse_args().check
    page = DOCS / "model-contract.md"
    wanted = {
        DOCS / "reference.md": reference(),
        DOCS / "api.md": api(),
        page: contract(page.read_text(encoding="utf-8")),
    }
    for path, text in wanted.items():
        if check and path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.name} is out of date: python scripts/tools/make_reference.py")
        if not check:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
