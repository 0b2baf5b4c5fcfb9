"""What strangers wrote is printed as one plain line."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from signetscan.cli.console import json_result
from signetscan.cli.main import cli
from signetscan.dataset.remarks import Remarks
from signetscan.texts import printable, printable_json

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@given(st.text())
def test_what_is_printed_is_one_plain_line(text: str) -> None:
    said = printable(text)
    assert said.isprintable()
    said.encode()
    assert printable(said) == said


@given(st.text(max_size=80), st.integers(4, 60))
def test_a_long_text_is_cut_after_it_is_escaped(text: str, most: int) -> None:
    whole, said = printable(text), printable(text, most)
    assert len(said) <= most
    assert said == whole if len(whole) <= most else said == f"{whole[: most - 3]}..."


@given(st.dictionaries(st.text(), st.text()), st.sampled_from([None, 2]))
def test_json_stays_the_same_value_and_moves_no_cursor(value: dict[str, str], indent: int | None) -> None:
    said = printable_json(json.dumps(value, ensure_ascii=False, indent=indent))
    assert json.loads(said) == value
    assert said.replace("\n", "").isprintable()
    said.encode()


def test_json_has_no_numbers_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    json_result({"a": math.nan, "b": [1.5, math.inf, {"c": (-math.inf, True, 1)}], "d": "\u202e\x9b"})
    said = capsys.readouterr().out
    assert json.loads(said) == {"a": None, "b": [1.5, None, {"c": [None, True, 1]}], "d": "\u202e\x9b"}
    assert said.isascii()


def test_what_click_says_of_a_setting_is_escaped_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "signetscan.toml").write_text('[detect]\ndevice = "\\u001b[2J\\u202e"\n')
    refused = CliRunner().invoke(cli, ["detect", "no.svs"])
    assert refused.exit_code == 2
    assert "is not one of 'auto'" in refused.stderr
    assert refused.stderr.replace("\n", "").isprintable()


def test_remarks_escape_the_names_of_strangers() -> None:
    remarks = Remarks()
    remarks.add("Left out", "\x1b[2Jcell\u202e\n", 2)
    remarks.add("Left out", "x" * 10_000)
    (line,) = remarks.lines()
    assert line.isprintable()
    assert r"\x1b[2Jcell\u202e\n (2)" in line
    assert len(line) < 300
