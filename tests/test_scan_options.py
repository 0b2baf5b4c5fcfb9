"""An option of scanning is added in one place, its field; flags, settings, lists, records and keys follow."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import BlobDetector
from run_records import MADE

from signetscan.batch.find import read_list
from signetscan.batch.options import LIST_COLUMNS, BatchOptions, WatchOptions
from signetscan.cli.flags import flags_of, given
from signetscan.cli.main import cli
from signetscan.errors import OptionError
from signetscan.json_values import JsonError, JsonTable
from signetscan.models.placement import Placement
from signetscan.options import Option, check_options, option, options_of, per_slide, result_values, with_texts
from signetscan.results.run_key import run_key
from signetscan.results.run_record import RunRecord, record_of_scan
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ResolvedScanOptions, ScanOptions
from signetscan.slides import ArraySlide
from signetscan.slides.mpp import MppSource

if TYPE_CHECKING:
    from signetscan.json_values import Json
    from signetscan.options import Value

WITHOUT_FLAG = ("trim_tiles",)
"""Options that the command line does not offer: what is best depends on the device alone."""
FLAGS = [name for name in options_of(ScanOptions) if name not in WITHOUT_FLAG]

OTHER: dict[str, Value] = {
    "tile_size": 512,
    "overlap": 64,
    "threshold": 0.25,
    "nms_iou": 0.25,
    "batch_size": 7,
    "read_threads": 3,
    "tissue_mask": False,
    "min_tissue": 7.0,
    "max_bad_area": 0.25,
    "trim_tiles": False,
    "measure": True,
}
"""Another value of each than a test's detector or the class has."""


def slide() -> ArraySlide:
    return ArraySlide([np.full((300, 300, 3), 255, np.uint8)], mpp=0.25)


@pytest.mark.parametrize("command", ["detect", "watch"])
@pytest.mark.parametrize("name", FLAGS)
def test_every_option_has_a_flag_and_a_setting(command: str, name: str) -> None:
    flag = name.replace("_", "-")
    about = options_of(ScanOptions)[name]
    shown = " ".join(CliRunner().invoke(cli, [command, "--help"], terminal_width=300).stdout.split())
    assert f"--{flag}" in shown
    assert about.help.removesuffix(".") in shown
    settings = CliRunner().invoke(cli, ["config", "show", command]).stdout
    assert f"\n{flag} = " in settings


@pytest.mark.parametrize("name", [name for name in options_of(ScanOptions) if options_of(ScanOptions)[name].per_slide])
def test_every_option_of_one_slide_is_a_column_of_a_list(name: str, tmp_path: Path) -> None:
    assert name in LIST_COLUMNS
    (tmp_path / "a.svs").touch()
    text = f"path,{name}\na.svs,{OTHER[name]}\n"
    (task,) = read_list(io.StringIO(text), "list", tmp_path, BatchOptions(), ScanOptions())
    assert getattr(task.options, name) == OTHER[name]


def test_a_record_has_all_options() -> None:
    detector = BlobDetector()
    result = detect_slide(slide(), detector, ScanOptions())
    record = record_of_scan(slide(), detector, result, name="a", key="", origin=(0, 0))
    assert list(record.options) == list(options_of(ScanOptions))


@pytest.mark.parametrize("name", options_of(ScanOptions))
def test_the_key_depends_on_what_changes_results(name: str) -> None:
    detector = BlobDetector()
    resolved = ScanOptions().resolve(detector)
    other = ResolvedScanOptions(
        **{each: getattr(resolved, each) for each in options_of(ScanOptions)} | {name: OTHER[name]}
    )
    before, after = (run_key(slide(), "c", detector, options, crop_to_bounds=True) for options in (resolved, other))
    assert (before != after) is options_of(ScanOptions)[name].changes_result


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreOptions(ScanOptions):
    """An option more."""

    glow: float = option(0.5, Option(help="How much it glows.", unit="mm", low=0, high=2, per_slide=True))

    def __post_init__(self) -> None:
        check_options(self)


def test_another_option_is_just_another_field() -> None:
    @click.command()
    @flags_of(MoreOptions)
    @click.pass_context
    def command(context: click.Context, /, **values: object) -> None:
        context.obj.append(given(MoreOptions, values))

    made: list[MoreOptions] = []
    assert CliRunner().invoke(command, ["--glow", "1.5", "--readers", "2"], obj=made).exit_code == 0
    assert made == [MoreOptions(glow=1.5, read_threads=2)]
    assert "How much it glows, mm." in CliRunner().invoke(command, ["--help"]).stdout
    assert per_slide(MoreOptions)[-1] == "glow"
    assert with_texts(MoreOptions(overlap=32), {"glow": "2"}) == MoreOptions(glow=2, overlap=32)
    assert result_values(MoreOptions())["glow"] == 0.5
    with pytest.raises(OptionError, match="glow must be from 0 to 2 mm, not 3"):
        MoreOptions(glow=3)


@pytest.mark.parametrize(("on_gpu", "batch_size", "trimmed"), [(False, 1, True), (True, 8, False)])
def test_options_not_given_come_from_the_model_and_its_device(on_gpu: bool, batch_size: int, trimmed: bool) -> None:
    detector = BlobDetector(tile_size=512, tile_overlap=128, score_threshold=0.3, nms_iou=0.2)
    detector.runs_on = Placement(name="any", on_gpu=on_gpu)
    resolved = ScanOptions().resolve(detector)
    assert (resolved.tile_size, resolved.overlap, resolved.threshold, resolved.nms_iou) == (512, 128, 0.3, 0.2)
    assert (resolved.batch_size, resolved.trim_tiles) == (batch_size, trimmed)
    assert 1 <= resolved.read_threads <= 8
    assert resolved.resolve(BlobDetector()) == resolved, "what is chosen stays"
    zero = ScanOptions(overlap=0, threshold=0.0, nms_iou=0.0).resolve(detector)
    assert (zero.overlap, zero.threshold, zero.nms_iou) == (0, 0, 0)


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"tile_size": 512}, "test takes tiles of 256 px only, not of 512 px"),
        ({"batch_size": 8}, "test takes 2 tiles at once, not 8"),
        ({"trim_tiles": True}, "cannot be trimmed"),
    ],
)
def test_what_a_model_does_not_take_is_refused_in_words(chosen: dict[str, int], says: str) -> None:
    detector = BlobDetector(tile_size_is_fixed=True, batch_size=2)
    resolved = ScanOptions().resolve(detector)
    assert (resolved.tile_size, resolved.batch_size, resolved.trim_tiles) == (256, 2, False)
    assert ScanOptions(tile_size=256, batch_size=2).resolve(detector) == resolved
    with pytest.raises(OptionError, match=says) as caught:
        ScanOptions(**chosen).resolve(detector)  # type: ignore[arg-type]
    assert caught.value.options == tuple(chosen)


def test_contradictory_options_are_refused(tmp_path: Path) -> None:
    for wrong in (
        {"formats": ("csv", "dicom"), "pseudonymise": tmp_path},
        {"dask": "local", "dry_run": True},
        {"dask": "local", "slide_timeout": 3.0},
        {"formats": ("text",)},
        {"mpp": 0.0},
        {"workers": 0},
    ):
        with pytest.raises(OptionError) as caught:
            replace(BatchOptions(), **wrong)
        assert set(wrong) <= {*caught.value.options}
    with pytest.raises(OptionError, match="settle"):
        WatchOptions(settle=0)


def test_the_former_name_of_an_option_is_accepted_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    detect = cli.commands["detect"]

    def read_threads(*arguments: str) -> object:
        with cli.make_context("signetscan", ["detect", *arguments]) as context:
            inner = detect.make_context("detect", list(arguments), parent=context)
            return inner.params["read_threads"]

    assert read_threads("x.svs", "--readers", "5") == 5
    monkeypatch.setenv("SIGNETSCAN_DETECT_READERS", "6")
    assert read_threads("x.svs") == 6
    monkeypatch.setenv("SIGNETSCAN_DETECT_READ_THREADS", "7")
    assert read_threads("x.svs") == 7
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    Path("signetscan.toml").write_text("[detect]\nreaders = 4\n")
    shown = CliRunner().invoke(cli, ["config", "show", "detect"]).stdout
    assert f"read-threads = 4  # {tmp_path / 'signetscan.toml'}" in shown.splitlines()
    assert "\nreaders = " not in shown


@pytest.mark.parametrize(
    ("source", "now"), [("--mpp", MppSource.GIVEN), ("slide properties", MppSource.PROPERTIES), ("a guess", None)]
)
def test_a_record_of_the_first_schema_is_read_by_the_names_of_today(source: str, now: MppSource | None) -> None:
    written = MADE.to_json()
    options: dict[str, Json] = {
        "tile_size": 256,
        "tile_overlap": 96,
        "score_threshold": 0.5,
        "readers": 2,
        "use_tissue_mask": True,
    }
    options |= {"max_unread_share": 0.0, "min_tissue_um2": 1000.0, "trim_tiles": True}
    mpp: dict[str, Json] = {"x": 0.25, "y": 0.25, "source": source}
    slide_then: dict[str, Json] = {**JsonTable(written).table("slide").values, "mpp": mpp}
    then = JsonTable(written | {"schema": 1, "options": options, "slide": slide_then})
    if now is None:
        with pytest.raises(JsonError, match=r"slide\.mpp\.source must be one of given by the user, .*not 'a guess'"):
            RunRecord.from_json(then)
        return
    record = RunRecord.from_json(then)
    assert record.slide.mpp.source is now
    assert record.options == {
        "tile_size": 256,
        "overlap": 96,
        "threshold": 0.5,
        "read_threads": 2,
        "tissue_mask": True,
        "max_bad_area": 0.0,
        "min_tissue": 1000.0,
        "trim_tiles": True,
    }
