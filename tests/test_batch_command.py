"""`signetscan detect` on many slides, `config` and `doctor`, as a user meets them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from signetscan.cli.main import cli
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.usefixtures("ready_workers", "no_settings")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, small_slide: Path) -> Path:
    root = tmp_path_factory.mktemp("store")
    (root / "slides" / "sub").mkdir(parents=True)
    shutil.copy(small_slide, root / "slides")
    shutil.copy(root / "slides" / "a.svs", root / "slides" / "sub" / "b.svs")
    write_tiny_model(root / "tiny.onnx")
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def detect(store: Path, out: Path, *arguments: object) -> Result:
    return run("detect", "--out", out, "--model", store / "tiny.onnx", "--device", "cpu", *arguments)


@pytest.mark.slow
def test_an_error_names_its_slide_once(store: Path, tmp_path: Path) -> None:
    result = detect(store, tmp_path / "out", store / "slides", "--mpp", 50)
    assert result.exit_code == 3
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert [line.split(" its pixels")[0] for line in errors] == ["Error: a:", "Error: sub/b:"]


@pytest.mark.slow
def test_a_folder_gives_a_line_for_each_slide_and_a_sum(store: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    result = detect(store, out, store / "slides", "--threshold", 0.1, "--log-file", log)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["a", "sub/b"]
    assert result.stderr.splitlines()[-1] == "2 slides scanned"
    assert (out / "sub" / "b.geojson").read_bytes() == (out / "a.geojson").read_bytes()
    again = detect(store, out, store / "slides", "--threshold", 0.1, "--json", "--quiet", "--log-file", log)
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == ["skipped", "skipped"]
    assert again.stderr == ""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events].count("ended") == 4
    assert events[0]["event"] == "begins"
    assert events[-1] | {"time": ""} == {"time": "", "event": "ends", "done": 0, "skipped": 2, "failed": 0}


def test_a_slide_that_fails_gives_status_3_and_its_reason(store: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.svs").write_text("no slide")
    result = detect(store, tmp_path / "out", store / "slides" / "a.svs", tmp_path / "bad.svs", "--json")
    assert result.exit_code == 3
    said = {line["slide"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert said["a"]["status"] == "done"
    assert said["bad"]["status"] == "failed"
    assert "not a slide" in said["bad"]["reason"]


def test_a_line_of_json_says_all_that_a_program_needs(store: Path, tmp_path: Path) -> None:
    """The slide's file and the results', why it failed or was skipped, and what the user was warned of."""
    out, slide, bad = tmp_path / "out", store / "slides" / "a.svs", tmp_path / "bad.svs"
    bad.write_text("no slide")
    words = (slide, bad, "--json", "--threshold", 0.1, "--overlap", 0)
    for status, reason in (("done", None), ("skipped", "already done with the same slide, model and options")):
        result = detect(store, out, *words)
        done, failed = sorted(map(json.loads, result.stdout.splitlines()), key=lambda line: str(line["slide"]))
        assert (done["status"], done["path"], done.get("reason")) == (status, str(slide), reason)
        assert done["outputs"] == [str(out / f"a.{suffix}") for suffix in ("geojson", "csv", "run.json")]
        assert all(Path(path).is_file() for path in done["outputs"] + failed["outputs"])
        assert (failed["path"], failed["outputs"]) == (str(bad), [str(out / "bad.failed.json")])
        assert done["model"] == "test"
        assert "overlap of 0 px" in done["warnings"][0]
    (planned, _) = map(json.loads, detect(store, tmp_path / "new", *words, "--dry-run").stdout.splitlines())
    assert (planned["status"], planned["path"]) == ("planned", str(slide))


def test_with_pseudonyms_no_line_of_json_names_a_file(store: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"a key of some bytes " * 4)
    (tmp_path / "secretive.svs").write_text("no slide")
    words = (store / "slides" / "a.svs", tmp_path / "secretive.svs", "--json", "--pseudonymise", tmp_path / "key")
    lines = detect(store, tmp_path / "out", *words).stdout
    assert "secretive" not in lines
    assert str(store) not in lines
    assert [set(json.loads(line)) & {"path", "outputs"} for line in lines.splitlines()] == [{"outputs"}] * 2


@pytest.mark.slow
def test_a_list_from_stdin_with_an_option_for_a_slide(store: Path, tmp_path: Path) -> None:
    text = f"path,mpp\n{store / 'slides' / 'a.svs'},0.5\n{store / 'slides' / 'sub' / 'b.svs'},\n"
    arguments = ["detect", "--list", "-", "--out", str(tmp_path), "--model", str(store / "tiny.onnx"), "--json"]
    result = CliRunner().invoke(cli, arguments, input=text)
    assert result.exit_code == 0, result.output
    records = [json.loads((tmp_path / f"{name}.run.json").read_text())["slide"]["mpp"]["x"] for name in "ab"]
    assert records == [0.5, 0.25]


@pytest.mark.slow
def test_a_dry_run_tells_sizes_and_writes_nothing(store: Path, tmp_path: Path) -> None:
    result = detect(store, tmp_path / "out", store / "slides", "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].startswith("a: 1024 x 1024 px of 0.25 µm (slide properties): ")
    assert "minute, by the model's speed" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_pseudonyms_keep_a_slides_name_out_of_all_that_is_written(store: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(store / "slides" / "a.svs", tmp_path / "in" / "Smith John.svs")
    (tmp_path / "in" / "Jones Mary.svs").write_text("no slide")
    key, out, log = tmp_path / "key", tmp_path / "out", tmp_path / "log"
    key.write_bytes(b"a secret of many bytes")
    result = detect(store, out, tmp_path / "in", "--pseudonymise", key, "--log-file", log)
    assert result.exit_code == 3
    said = result.output + result.stderr + log.read_text()
    said += "".join(path.name + path.read_text() for path in out.rglob("*"))
    assert len(list(out.iterdir())) == 4
    alone = detect(store, out, tmp_path / "in" / "Smith John.svs", "--pseudonymise", key, "--overwrite")
    assert alone.exit_code == 0
    said += alone.output + alone.stderr
    for word in ("Smith", "John", "Jones", "Mary"):
        assert word not in said


@pytest.mark.slow
def test_watch_scans_what_arrives(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store / "slides", tmp_path / "scanner")
    (tmp_path / "scanner" / "bad.svs").write_text("no slide")
    where = ("--out", tmp_path / "out", "--model", store / "tiny.onnx")
    options = (*where, "--settle", 0.05, "--every", 0.1, "--until-idle")
    result = run("watch", tmp_path / "scanner", *options)
    assert result.exit_code == 3, result.output
    assert len((tmp_path / "out" / "sub" / "b.csv").read_text().splitlines()) >= 1
    again = run("watch", tmp_path / "scanner", *options)
    assert all(line.endswith("already done") for line in again.stdout.splitlines())
    assert len(again.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments", [(), ("missing.svs",), ("--shard", "3/2"), ("--workers", 0), ("--list", "none.csv")]
)
def test_wrong_usage_gives_status_2(store: Path, tmp_path: Path, arguments: tuple[object, ...]) -> None:
    slides = (store / "slides",) if "--shard" in arguments else ()
    assert detect(store, tmp_path / "out", *slides, *arguments).exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_settings_come_from_flag_environment_project_and_user_in_this_order(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = tmp_path / "home" / ".config" / "signetscan" / "config.toml"
    if sys.platform != "linux":
        pytest.skip("the user's folder has another name")
    user.parent.mkdir(parents=True)
    user.write_text('[detect]\nthreshold = 0.11\nnms-iou = 0.22\nworkers = 1\nmodel = "none"\n')
    (tmp_path / "signetscan.toml").write_text("[detect]\nthreshold = 0.33\nnms_iou = 0.44\n")
    monkeypatch.setenv("SIGNETSCAN_DETECT_THRESHOLD", "0.55")
    shown = run("config", "show", "detect").stdout.splitlines()
    for line in (
        "threshold = '0.55'  # SIGNETSCAN_DETECT_THRESHOLD",
        f"nms-iou = 0.44  # {tmp_path / 'signetscan.toml'}",
        f"workers = 1  # {user}",
        "device = 'auto'  # default",
    ):
        assert line in shown
    out = tmp_path / "out"
    assert detect(store, out, store / "slides" / "a.svs", "--nms-iou", 0.66).exit_code == 0
    options = json.loads((out / "a.run.json").read_text())["options"]
    assert (options["threshold"], options["nms_iou"]) == (0.55, 0.66)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[detect]\ncolour = 1\n", "no option colour"),
        ("[detct]\n", "detct"),
        ("model = 'fast'\n", "model"),
        ("[detect\n", "TOML"),
        ("[detect]\nworkers = 'many'\n", "many"),
        ("[simulate.slide]\nwidth = 512\n", "commands with two words"),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_it(store: Path, tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "work" / "signetscan.toml").write_text(text)
    result = detect(store, tmp_path / "out", store / "slides")
    assert result.exit_code == 2
    assert named in result.stderr
    assert "Traceback" not in result.output


def test_doctor_tries_all_parts(store: Path, tmp_path: Path) -> None:
    result = run("doctor", "--model", store / "tiny.onnx", "--out", tmp_path / "x", "--json")
    assert result.exit_code == 0, result.output
    found = {each["part"]: each for each in json.loads(result.stdout)}
    assert {"python", "slides", "decoders", "runtime", "model on cpu", "gpu", "disk"} <= set(found)
    assert found["model on cpu"]["detail"].startswith("test ran on CPUExecutionProvider")
    (tmp_path / "text.onnx").write_text("no model")
    broken = run("doctor", "--model", tmp_path / "text.onnx")
    assert broken.exit_code == 4
    assert "BROKEN  model on cpu: " in broken.stdout
