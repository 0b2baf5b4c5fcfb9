"""The shape of the code: imports go down only, heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = ROOT / "signetscan"

LAYERS = (
    ("testing",),  # for tests and scripts: nothing imports it
    ("cli", "__main__"),
    ("batch", "training", "foreign", "simulate", "doctor", "info"),
    ("reports", "viewer"),
    ("evaluation", "dataset"),
    ("results",),
    ("formats",),
    ("scan",),
    ("models", "annotations"),
    ("slides",),
    (
        "boxes",
        "detections",
        "measurements",
        "options",
        "json_values",
        "concurrency",
        "atomic",
        "file_lock",
        "suffixes",
        "stains",
        "plurals",
        "texts",
        "class_names",
        "extras",
        "pixel_cache",
        "user_folder",
    ),
    ("errors", "__init__"),
)
"""A module imports from its own layer or from lower ones; the order within a layer is free of cycles."""

FENCES = {
    "click": ("cli",),
    "rich": ("cli",),
    "torch": ("training",),
    "onnx": ("training", "foreign", "testing", "models"),
    "playwright": ("testing",),
    "onnxruntime": ("models",),
    "onnxruntime.quantization": ("training",),
    "matplotlib": ("evaluation", "training", "reports", "testing"),
    "jinja2": ("reports",),
    "markupsafe": ("reports",),
    "tensorboardX": ("training",),
    "openslide": ("slides", "doctor"),
    "geojson": ("formats", "simulate"),
    "pyarrow": ("formats",),
    "highdicom": ("formats",),
    "pydicom": ("formats", "slides", "testing"),
    "wsidicom": ("slides",),
    "requests": ("slides",),
    "shapely": ("scan", "formats"),
}
"""Where each outside library may be imported."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The first name below the package: `signetscan.slides.mpp` -> `slides`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(path: Path) -> set[str]:
    """Full names of what a module imports, for typing too."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.update(f"{node.module}.{alias.name}" for alias in node.names)
    return modules


def own_imports(path: Path) -> set[str]:
    names = {name_of(module) for module in MODULES}
    found = set()
    for full in imports(path):
        if full in names:
            found.add(full)
        elif full.rpartition(".")[0] in names:
            found.add(full.rpartition(".")[0])
    return found - {name_of(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    level = {part: depth for depth, parts in enumerate(LAYERS) for part in parts}
    own = part_of(name_of(path))
    for module in own_imports(path):
        assert level[part_of(module)] >= level[own], f"{name_of(path)} imports {module} from above"


def test_there_is_no_cycle() -> None:
    graph = {name_of(path): own_imports(path) for path in MODULES}
    assert len(tuple(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_stay_behind_their_fences(path: Path) -> None:
    for full in imports(path):
        names = full.split(".")
        allowed = FENCES.get(".".join(names[:2]), FENCES.get(names[0]))
        assert allowed is None or part_of(name_of(path)) in allowed, f"{name_of(path)} imports {full}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["--version"],
        ["detect", "--help"],
        ["calibrate", "--help"],
        ["train", "--help"],
        ["evaluate", "--help"],
        ["compare", "--help"],
        ["import", "--help"],
        ["dataset", "add", "--help"],
        ["convert", "--help"],
    ],
)
def test_help_is_quick_because_it_loads_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys\n"
        "from signetscan.cli.main import cli\n"
        f"cli({command!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'onnxruntime', 'onnx', 'numpy', 'scipy', 'openslide', 'skimage', 'matplotlib', 'jinja2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: S603 - our own code


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("signetscan.batch.run", {"scipy", "openslide", "tifffile", "imagecodecs", "onnxruntime", "PIL", "torch"}),
        ("signetscan.__main__", {"click", "numpy"}),
    ],
)
def test_a_scan_starts_soon_because_each_process_loads_what_it_needs(module: str, heavy: set[str]) -> None:
    """The process that runs a batch opens no slide, and each of its workers imports the main module again."""
    code = f"import sys, {module}\nassert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)\n"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: S603 - our own code


def test_tests_and_scripts_do_not_import_each_other() -> None:
    """What they share is in `signetscan.testing`, which the rest of the package leaves alone."""
    of_tests = {path.stem for path in (ROOT / "tests").glob("*.py")}
    of_scripts = {path.stem for path in (ROOT / "scripts").rglob("*.py")}
    assert of_tests and of_scripts and not of_tests & of_scripts  # noqa: PT018 - or a name would not tell which
    for folder, others in (("tests", of_scripts), ("scripts", of_tests)):
        for path in (ROOT / folder).rglob("*.py"):
            first_names = {full.partition(".")[0] for full in imports(path)}
            assert not first_names & (others | {"tests", "scripts"}), path.name


FLAG = re.compile(r"(?<![\w<!(-])--[a-z][a-z-]*")
NVIDIA_SMI = {"--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"}
"""Flags of another program, which the library runs."""


def texts_of(path: Path) -> list[str]:
    """What a module says in texts, docstrings and comments, and a page outside its styles."""
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return [re.sub(r"<style.*?</style>|\bstyle=\"[^\"]*\"", "", content, flags=re.DOTALL)]
    tokens = tokenize.generate_tokens(io.StringIO(content).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    constants = [node.value for node in ast.walk(ast.parse(content)) if isinstance(node, ast.Constant)]
    return comments + [text for text in constants if isinstance(text, str) and text not in NVIDIA_SMI]


LIBRARY = [
    path
    for pattern in ("*.py", "*.html")
    for path in sorted(PACKAGE.rglob(pattern))
    if path.relative_to(PACKAGE).parts[0] not in {"cli", "testing"}
]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_flags_are_named_by_the_command_line_alone(path: Path) -> None:
    flags = [flag for text in texts_of(path) for flag in FLAG.findall(text)]
    assert not flags, f"{path}: name the options of an error, and leave its flags to cli/flags.py"
