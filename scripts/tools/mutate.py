"""Change one operator or number at a time, and see whether the quick tests notice.

    python scripts/tools/mutate.py [--only losses] [--workers 2]

A mutant that no test notices is printed with its line, before and after; the status is 1. What survives is explained in
docs/reliability.md.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.util
import os
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec

ROOT = Path(__file__).parents[2]
TARGETS = {
    "merge": (["scan/merge.py"], ["test_merge.py"]),
    "neighbours": (["scan/neighbours.py"], ["test_neighbours.py", "test_merge.py"]),
    "losses": (["training/losses.py"], ["test_losses.py"]),
    "evaluation": (
        [
            f"evaluation/{name}.py"
            for name in ("matching", "tally", "digestpath", "curves", "bootstrap", "score_reliability")
        ],
        ["test_evaluation.py", "test_curves.py", "test_assess.py"],
    ),
    "geojson": (["formats/geojson.py", "formats/blocks.py"], ["test_outputs.py", "test_formats.py"]),
    "reading": (
        [f"annotations/{name}.py" for name in ("features", "qupath", "shapes", "json_stream")],
        ["test_readers.py", "test_annotations.py", "test_tolerant_reading.py"],
    ),
}
"""Files below the package, and the tests that should notice."""
PATIENCE = 8.0
"""Times as long as the tests usually take, after which a mutant counts as noticed: it does not end."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Add,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Mutant:
    """A file with one change."""

    path: Path
    line: int
    before: str
    after: str
    source: str


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """A node with one change."""
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                new = copy.deepcopy(node)
                new.ops[place] = COMPARISONS[type(op)]()
                yield new
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            new_op = copy.deepcopy(node)
            new_op.op = OPERATORS[type(op)]()
            yield new_op
        case ast.BoolOp(op=op):
            new_bool = copy.deepcopy(node)
            new_bool.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield new_bool
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield copy.deepcopy(operand)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(value=not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value=value + 1)


def is_type(node: ast.AST) -> bool:
    """Whether a node is for readers and type checkers only."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Import() | ast.ImportFrom():
            return True
        case ast.Call(func=ast.Name(id="dataclass")):
            return True
    return False


def mutants(path: Path) -> list[Mutant]:
    """All of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[Mutant] = []

    def visit(parent: ast.AST) -> None:
        for field, value in ast.iter_fields(parent):
            if field in {"annotation", "returns", "type_comment"}:
                continue
            children = value if isinstance(value, list) else [value]
            for place, child in enumerate(children):
                if not isinstance(child, ast.AST) or is_type(child):
                    continue
                for new in changed(child):
                    old_text = ast.unparse(child)
                    ast.copy_location(new, child)
                    put(parent, field, place, value, new)
                    source = ast.unparse(ast.fix_missing_locations(tree))
                    put(parent, field, place, value, child)
                    found.append(Mutant(path, getattr(child, "lineno", 0), old_text, ast.unparse(new), source))
                visit(child)

    def put(parent: ast.AST, field: str, place: int, value: Any, new: ast.AST) -> None:  # noqa: ANN401
        if isinstance(value, list):
            value[place] = new
        else:
            setattr(parent, field, new)

    visit(tree)
    return found


class Replaced(MetaPathFinder):
    """Gives one module another source."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = ".".join(mutant.path.relative_to(ROOT).with_suffix("").parts)
        self.loader = Loader(self.name, mutant)

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """The module, if it is the one."""
        return importlib.util.spec_from_loader(fullname, self.loader) if fullname == self.name else None


class Loader(SourceFileLoader):
    """Loads a mutant in place of its file."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(mutant.path))
        self.source = mutant.source

    def get_data(self, path: str) -> bytes:  # noqa: ARG002 - the base's signature
        """The other source."""
        return self.source.encode()

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """None, so that no compiled form is looked for or kept."""
        raise OSError(path)


class Hasty:
    """Keeps hypothesis from making an example small when it has found one."""

    def pytest_sessionstart(self) -> None:
        """After conftest.py, before any test is made."""
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.reuse, Phase.generate)
        settings.register_profile("hasty", settings.get_profile("default"), phases=phases)
        settings.load_profile("hasty")


def notices(mutant: Mutant | None, tests: Sequence[str], limit_s: float) -> bool:
    """Whether the tests fail, in a child of this process that has all libraries loaded."""
    child = os.fork()
    if child == 0:
        os.setsid()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        if mutant is not None:
            sys.meta_path.insert(0, Replaced(mutant))
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests], plugins=[Hasty()])))
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def survivors(name: str, workers: int) -> list[Mutant]:
    """The mutants of a target that no test notices."""
    files, names = TARGETS[name]
    tests = [str(ROOT / "tests" / test) for test in names]
    started = time.monotonic()
    if notices(None, tests, 600):
        message = f"{name}: the tests fail as they are"
        raise SystemExit(message)
    limit_s = PATIENCE * workers * (time.monotonic() - started) + 5
    found = [mutant for file in files for mutant in mutants(ROOT / "signetscan" / file)]
    with ThreadPoolExecutor(workers) as pool:
        noticed = list(pool.map(lambda mutant: notices(mutant, tests, limit_s), found))
    left = [mutant for mutant, seen in zip(found, noticed, strict=True) if not seen]
    print(f"{name}: {len(found)} mutants, {len(left)} survive", flush=True)
    for mutant in left:
        print(f"  {mutant.path.relative_to(ROOT)}:{mutant.line}: {mutant.before}  ->  {mutant.after}", flush=True)
    return left


def main() -> None:
    """Go through all targets, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=TARGETS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    # Loaded once, here, so that each child has them: what is mutated is not.
    for library in ("numpy", "pytest", "scipy.ndimage", "scipy.spatial", "torch", "click", "geojson"):
        importlib.import_module(library)
    sys.path.insert(0, str(ROOT / "tests"))
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = tempfile.mkdtemp()
    left = [mutant for name in TARGETS if options.only in {None, name} for mutant in survivors(name, options.workers)]
    sys.exit(len(left) > 0)


if __name__ == "__main__":
    main()
