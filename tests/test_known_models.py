"""Models that are known by name: those that ship, and those that a user added."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from signetscan.cli.main import cli
from signetscan.errors import ModelError
from signetscan.models.detector import load_detector
from signetscan.models.known_models import add_model, check_contract, known_models
from signetscan.models.loading import load_model
from signetscan.models.onnx_parts import metadata_of
from signetscan.models.store import ROLES, find_model, named_model, shipped_models, user_model_folder
from signetscan.testing.specs import make_segmentation_spec, make_spec
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.testing.tiny_segmenter import write_tiny_segmenter
from signetscan.user_folder import user_folder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "HOME"])
def test_the_folder_of_a_user_is_where_the_system_wants_it(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As click finds it, which only the command line imports."""
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert str(user_folder()) == click.get_app_dir("signetscan")
    assert user_folder().is_relative_to(tmp_path / "elsewhere")


def test_what_ships_is_known(tmp_path: Path) -> None:
    known = known_models()
    assert {model.name: model.path for model in known} == shipped_models()
    assert {model.role: model.name for model in known} == ROLES
    for model in known:
        assert model.ships
        assert model.spec == check_contract(load_model(model.path, device="cpu"))


def test_a_model_that_was_added_is_found_by_its_name(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "mine.onnx")
    assert named_model("mine") is None
    added = add_model(path)
    assert added == known_models()[-1]
    assert (added.name, added.ships, added.spec) == ("mine", False, make_spec())
    assert added.path == find_model("mine") == user_model_folder() / "mine.onnx"
    assert added.path.read_bytes() == path.read_bytes()
    path.unlink()
    assert load_detector(find_model("mine"), device="cpu").spec == make_spec()
    with pytest.raises(ModelError, match=r"known: accurate, fast, .*, mine"):
        find_model("yours")


def test_a_model_that_segments_is_known_too(tmp_path: Path) -> None:
    added = add_model(write_tiny_segmenter(tmp_path / "tissue.onnx"))
    assert added.spec == known_models()[-1].spec == make_segmentation_spec()


def test_another_model_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "mine.onnx")
    add_model(path)
    assert add_model(path).name == "mine", "the same one may be added again"
    write_tiny_model(path, metadata=make_spec(name="other").to_metadata())
    with pytest.raises(ModelError, match="you have another model called mine") as caught:
        add_model(path)
    assert caught.value.options == ("overwrite",)
    assert load_detector(find_model("mine"), device="cpu").spec.name == "test"
    add_model(path, overwrite=True)
    assert load_detector(find_model("mine"), device="cpu").spec.name == "other"


@pytest.mark.parametrize("name", ["accurate", "signet-sim-3"])
def test_names_that_ship_are_taken(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ships with signetscan"):
        add_model(write_tiny_model(tmp_path / f"{name}.onnx"))


def test_what_breaks_the_contract_is_not_added(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no model")
    for path in (tmp_path / "no.onnx", tmp_path / "gone.onnx", write_tiny_model(tmp_path / "m.onnx", label_type=6)):
        with pytest.raises(ModelError, match=path.name):
            add_model(path)
    assert not user_model_folder().exists()


def test_the_list_says_what_each_model_says_of_itself(tmp_path: Path) -> None:
    metadata = make_spec(training_data="12 slides of ours. More.", licence="CC0-1.0\x1b[2J").to_metadata()
    add_model(write_tiny_model(tmp_path / "mine.onnx", metadata=metadata))
    (user_model_folder() / "broken.onnx").write_bytes(b"\x0b")
    runs = [CliRunner().invoke(cli, words) for words in (["models"], ["models", "list"])]
    assert [done.exit_code for done in runs] == [0, 0]
    assert runs[0].stdout == runs[1].stdout
    lines = runs[0].stdout.splitlines()
    assert lines[0].startswith(
        "glands-2 (glands): segmentation at 1 µm/px: background, benign, low grade, high grade, carcinoma"
    )
    assert lines[1].startswith("nuclei-1 (nuclei): detection at 0.5 µm/px: Nucleus; learnt from: Real nuclei in H&E")
    assert lines[2].startswith("signet-sim-3 (accurate): detection at 0.5 µm/px: Signet ring cell; learnt from: Simul")
    assert "licence: Apache-2.0; ships with signetscan" in lines[2]
    assert lines[4].startswith("broken: cannot be used: not an ONNX model")
    assert lines[5].startswith("mine: detection at 0.25 µm/px: Signet ring cell; learnt from: 12 slides of ours.; ")
    assert "\x1b" not in runs[0].stdout
    listed = json.loads(CliRunner().invoke(cli, ["models", "list", "--json"]).stdout)
    assert [model["name"] for model in listed] == [
        "glands-2",
        "nuclei-1",
        "signet-sim-3",
        "signet-sim-3-int8",
        "broken",
        "mine",
    ]
    assert listed[5]["training_data"] == "12 slides of ours. More."


def test_a_model_is_added_by_the_command(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "mine.onnx")
    done = CliRunner().invoke(cli, ["models", "add", str(path)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{user_model_folder() / 'mine.onnx'}: known as mine\n"
    assert "class_names: Signet ring cell" in CliRunner().invoke(cli, ["info", "mine"]).stdout
    write_tiny_model(path, metadata=make_spec(name="other").to_metadata())
    done = CliRunner().invoke(cli, ["models", "add", str(path)])
    assert done.exit_code == 1
    assert "See --overwrite" in done.stderr
    assert CliRunner().invoke(cli, ["models", "add", str(path), "--overwrite"]).exit_code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    user_folder().mkdir(parents=True)
    user_folder().chmod(0o500)
    done = CliRunner().invoke(cli, ["models", "add", str(write_tiny_model(tmp_path / "mine.onnx"))])
    assert done.exit_code == 1
    assert "cannot be made" in done.stderr


@given(st.binary(max_size=300))
def test_no_bytes_cause_more_than_an_error_message(content: bytes) -> None:
    try:
        metadata = metadata_of(content)
    except ModelError:
        return
    assert all(isinstance(text, str) for entry in metadata.items() for text in entry)
