from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.batch.find import SlideTask, find_slides, read_list, shard_of, spelt_as_there, with_pseudonyms
from signetscan.batch.left_out import LeftOut
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import hidden
from signetscan.errors import OptionError
from signetscan.formats.result_files import ALL_SUFFIXES
from signetscan.scan.options import ScanOptions
from signetscan.suffixes import name_of
from signetscan.texts import printable


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def listed(text: str, folder: Path) -> list[SlideTask]:
    return read_list(io.StringIO(text), "slides.csv", folder, BatchOptions(), ScanOptions())


def names(*paths: Path) -> list[str]:
    return [task.name for task in find_slides(paths)]


def test_a_folder_gives_its_slides_and_those_of_subfolders_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.svs", "a.SVS", "sub/deeper/c.ndpi", "d.ome.tif", "notes.txt", "label.png", "a.xml")
    touch(tmp_path, ".hidden.svs", "._b.svs", ".cache/e.svs")
    assert names(tmp_path) == ["a", "b", "d", "sub/deeper/c"]
    assert {task.root for task in find_slides([tmp_path])} == {tmp_path}


def test_results_with_suffixes_of_slides_are_not_slides(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", *(f"a{suffix}" for suffix in ALL_SUFFIXES), "B.HEATMAP.OME.TIF", "c.ome.tif")
    touch(tmp_path, "d.dcm", "d.ann.dcm")
    assert names(tmp_path) == ["a", "c", "d"]
    assert names(tmp_path / "*") == ["a", "c", "d"]
    assert names(tmp_path / "d.ann.dcm") == ["d.ann"], "unless it is named itself"


def test_a_slide_of_many_files_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "m.mrxs", "m/Slidedat.ini", "m/Data0000.dat", "m/Index.dat")
    series = {"one.dcm": b"1.2.3", "two.dcm": b"1.2.3", "other.dcm": b"1.2.4", "none.dcm": None}
    for length, (name, number) in enumerate(series.items()):
        head = b"" if number is None else b"\x20\x00\x0e\x00UI" + len(number).to_bytes(2, "little") + number
        (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM" + head + b"\0" * length)
    assert names(tmp_path) == ["m", "none", "other", "two"], "of a series the largest file"


def test_a_slide_named_twice_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", "sub/b.svs")
    (tmp_path / "link.svs").symlink_to(tmp_path / "a.svs")
    paths = [tmp_path / "sub" / ".." / "a.svs", tmp_path / "link.svs", tmp_path / "a.svs", tmp_path / "sub" / "b.svs"]
    assert names(*paths) == ["a", "b"]


def dicom(kind: bytes = b"1.2.840.10008.5.1.4.1.1.77.1.6", series: bytes = b"1.2.3.4") -> bytes:
    def field(tag: bytes, value: bytes) -> bytes:
        return tag + b"UI" + len(value).to_bytes(2, "little") + value

    return bytes(128) + b"DICM" + field(b"\x02\x00\x02\x00", kind) + field(b"\x20\x00\x0e\x00", series)


def test_slides_are_found_by_content_where_no_suffix_says_what_they_are(tmp_path: Path) -> None:
    touch(tmp_path, "a.btf", "b.QPTIFF", "c.ptif", "d.dicom", "README", "LICENSE.7")
    (tmp_path / "IM0001").write_bytes(dicom())
    (tmp_path / "IM0002").write_bytes(dicom() + b"larger")
    (tmp_path / "1.2.840.17").write_bytes(dicom(series=b"1.2.3.5"))
    (tmp_path / "DICOMDIR").write_bytes(dicom(kind=b"1.2.840.10008.1.3.10"))
    (tmp_path / "tiff").write_bytes(b"II*\0" + bytes(20))
    left_out = LeftOut()
    assert [task.place.name for task in find_slides([tmp_path], left_out=left_out)] == [
        *("1.2.840.17", "IM0002", "a.btf", "b.QPTIFF", "c.ptif", "d.dicom", "tiff"),
    ]
    (line,) = left_out.lines(private=True)
    assert line == ("3 files are left out, because suffix and content are not those of a slide: 2 without one, 1 .7")


def test_what_is_left_out_of_folders_is_counted_by_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", "a.geojson", "a.csv", "notes.txt", "v.vsi", "_v_/stack1/frame_t.ets", "p.JPG", "q.jpg")
    touch(tmp_path, "m.mrxs", "m/Slidedat.ini", "m/Data0000.dat", "m/odd", ".hidden.zip", "x/i.vms", "x/i-1.jpg")
    left_out = LeftOut()
    find_slides([tmp_path], left_out=left_out)
    assert left_out.kinds == "2 .jpg, 1 .vsi, 1 .ets"
    (tmp_path / "none").mkdir()
    touch(tmp_path / "none", "only.isyntax")
    with pytest.raises(OptionError, match=r"no slide in this folder .*; it has 1 \.isyntax"):
        names(tmp_path / "none")
    find_slides([tmp_path / "*.[sv]*"], left_out=left_out)
    assert left_out.suffixes[".vsi"] == 2, "of a pattern too"
    with pytest.raises(OptionError, match=r"\*\.vsi: no slide matches this pattern"):
        names(tmp_path / "*.vsi")


def test_many_kinds_of_files_are_told_in_one_line() -> None:
    left_out = LeftOut()
    for number in range(9):
        for _ in range(number + 1):
            left_out.add_file(Path(f"f.s{number}"))
    left_out.add_file(Path("f." + "x" * 500))
    left_out.add_file(Path("f.\x1b[2J"))
    (line,) = left_out.lines(private=False)
    assert line.endswith("9 .s8, 8 .s7, 7 .s6, 6 .s5, 5 .s4, 4 .s3, and 5 suffixes more")


def test_a_slide_with_several_names_is_scanned_once_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.svs", "in/b.svs", "other/c.svs")
    (tmp_path / "in" / "link.svs").symlink_to(tmp_path / "in" / "a.svs")
    (tmp_path / "other" / "hard.svs").hardlink_to(tmp_path / "in" / "a.svs")
    rows = listed("path\nin/../in/b.svs\nother/hard.svs\n", tmp_path)
    left_out = LeftOut()
    tasks = find_slides([tmp_path / "in", tmp_path / "other"], rows, left_out=left_out)
    assert [task.place.name for task in tasks] == ["a.svs", "b.svs", "c.svs"]
    (line,) = left_out.lines(private=False)
    assert line.startswith("4 slides are left out, because the same file was named before: ")
    assert f"{tmp_path / 'in' / 'link.svs'} is {tmp_path / 'in' / 'a.svs'}" in line
    (private,) = left_out.lines(private=True)
    assert private == "4 slides are left out, because the same file was named before"


def test_copies_are_slides_of_their_own(tmp_path: Path) -> None:
    for name in ("a.svs", "b.svs"):
        (tmp_path / name).write_bytes(b"the same")
    assert names(tmp_path) == ["a", "b"]


def test_a_row_of_a_list_counts_for_a_slide_that_is_also_named_otherwise(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.svs", "in/b.svs")
    rows = listed("path,mpp,threshold\nin/a.svs,0.3,0.7\n", tmp_path)
    tasks = find_slides([tmp_path], rows, mpp=0.5)
    assert [(task.name, task.mpp, task.options) for task in tasks] == [
        ("in/a", 0.3, ScanOptions(threshold=0.7)),
        ("in/b", 0.5, ScanOptions()),
    ]


def test_two_rows_of_a_slide_must_agree(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs")
    (tmp_path / "b.svs").symlink_to(tmp_path / "a.svs")
    left_out = LeftOut()
    same = listed("path,mpp\na.svs,0.3\nb.svs,0.3\n", tmp_path)
    assert [task.name for task in find_slides([], same, left_out=left_out)] == ["a"]
    assert len(left_out.again) == 1
    for text in ("path,mpp\na.svs,0.3\nb.svs,0.4\n", "path,threshold\na.svs,\na.svs,0.4\n"):
        with pytest.raises(OptionError, match="twice in the list, with different options"):
            find_slides([], listed(text, tmp_path))
        with pytest.raises(OptionError, match=r"^a slide stands twice"):
            find_slides([], listed(text, tmp_path), private=True)


def test_patterns_that_the_shell_did_not_expand(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.svs", "y/b.svs", "y/b.csv", "z/deep/c.svs")
    assert names(tmp_path / "*" / "*.svs") == ["a", "b"]
    assert names(tmp_path / "**" / "*.svs") == ["a", "b", "c"]
    assert names(tmp_path / "[xz]") == ["a", "deep/c"]
    touch(tmp_path, "odd[1].svs")
    assert names(tmp_path / "odd[1].svs") == ["odd[1]"], "a file of that very name is no pattern"
    for nothing in ("*.ndpi", "missing.svs", "missing"):
        with pytest.raises(OptionError, match="no "):
            names(tmp_path / nothing)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match=r"empty: no slide in this folder.*\.svs"):
        names(tmp_path / "empty")


def test_results_of_different_slides_have_different_names(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.svs", "one/a.ndpi", "one/A.tif", "two/a.svs")
    assert names(tmp_path / "one") == ["A.tif", "a.ndpi", "a.svs"]
    assert names(tmp_path) == ["one/A.tif", "one/a.ndpi", "one/a.svs", "two/a"]
    with pytest.raises(OptionError, match="same results"):
        names(tmp_path / "one" / "a.svs", tmp_path / "two" / "a.svs")


@pytest.mark.parametrize(("one", "other"), [("S.svs", "s.svs"), ("\u00e9.svs", "e\u0301.svs"), ("ß.svs", "ss.svs")])
def test_names_that_some_system_takes_for_one_are_refused(tmp_path: Path, one: str, other: str) -> None:
    touch(tmp_path, one, other)
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system takes them for one")
    with pytest.raises(OptionError, match="differ in case or accents alone"):
        names(tmp_path)


def test_a_list_gives_slides_and_their_own_options(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", "b.svs")
    text = f"path, mpp,threshold\na.svs,0.25,\n{tmp_path / 'b.svs'},, 0.5\n"
    request, options = BatchOptions(mpp=0.5), ScanOptions(overlap=64)
    tasks = find_slides([], read_list(io.StringIO(text), "slides.csv", tmp_path, request, options))
    assert [(task.name, task.mpp, task.options) for task in tasks] == [
        ("a", 0.25, options),
        ("b", 0.5, ScanOptions(overlap=64, threshold=0.5)),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "columns"),
        ("slide\na.svs\n", "columns"),
        ("path,colour\na.svs,red\n", "columns"),
        ("path\nmissing.svs\n", "slides.csv, line 2: missing.svs"),
        ("path,mpp\na.svs,small\n", "line 2: mpp"),
        ("path,tile_size\na.svs,64.5\n", "line 2: tile size must be a whole number"),
        ("path,threshold\na.svs,2\n", "line 2: threshold must be from 0 to 1"),
        ("path\na.svs\n\x00\n", "slides.csv"),
        ("path\n,\n", "slides.csv"),
        ("path\na.svs,0.25\n", "line 2: the number of fields differs from that of the first line, 1"),
        ("path,mpp\na.svs\n", "line 2: the number of fields differs from that of the first line, 2"),
    ],
)
def test_an_error_in_a_list_names_the_line(tmp_path: Path, text: str, named: str) -> None:
    touch(tmp_path, "a.svs")
    with pytest.raises(OptionError, match=named):
        listed(text, tmp_path)


def test_a_list_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.svs")
    monkeypatch.setattr("signetscan.batch.find.MAX_LISTED", 3)
    lines = ["path", *["a.svs"] * 3]
    assert len(listed("\n".join(lines), tmp_path)) == 3
    with pytest.raises(OptionError, match="line 5: more than 3 slides"):
        listed("\n".join([*lines, "a.svs"]), tmp_path)


@given(st.integers(0, 40), st.integers(1, 12))
def test_shards_hold_each_slide_once(count: int, parts: int) -> None:
    tasks = [task_named(f"{index}") for index in range(count)]
    shards = [shard_of(tasks, f"{index}/{parts}") for index in range(1, parts + 1)]
    assert sorted(task.name for shard in shards for task in shard) == sorted(task.name for task in tasks)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def task_named(name: str) -> SlideTask:
    return SlideTask(place=Path(f"{name}.svs"), name=name, root=Path())


@pytest.mark.parametrize("shard", ["", "1", "0/3", "4/3", "a/b", "1/0", "-1/3", "1/3/5"])
def test_a_shard_of_another_form_is_refused(shard: str) -> None:
    with pytest.raises(OptionError, match="I/N"):
        shard_of([], shard)


def test_pseudonyms_depend_on_key_and_name_and_hide_both() -> None:
    tasks = [task_named("ward 3/Smith, John"), task_named("b")]
    one, again, other = (
        [task.name for task in with_pseudonyms(tasks, key)] for key in (b"secret", b"secret", b"another")
    )
    assert one == again != other
    assert len({*one, *other}) == 4
    assert all(set(name) <= set("0123456789abcdef") for name in one)
    path = Path("/share/ward 3/Smith, John.svs")
    said = hidden(f"{path}: cannot be read; see Smith, John.svs", path, one[0])
    assert "Smith" not in said
    assert one[0] in said
    assert hidden("a bad slide: a, x/a.svs", Path("x/a.svs"), "7") == "7 bad slide: 7, 7"


def test_names_are_those_of_files_without_their_suffix() -> None:
    assert [name_of(name) for name in ("a.svs", "a.b.svs", "a.ome.tif", "a", ".svs")] == ["a", "a.b", "a", "a", "svs"]


def test_slides_with_odd_file_names_are_found_and_printed(tmp_path: Path) -> None:
    hostile = ["=cmd|' C calc'!A0.svs", "<script>alert(1)<.svs", "new\nline.svs", " space .svs", "\u202egpj.svs"]
    for name in hostile:
        (tmp_path / name).touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/not\xffutf8.svs")).touch()
    found = find_slides([tmp_path])
    assert len(found) == 6
    for task in found:
        assert printable(task.name).isprintable()
        assert "/" not in task.name


def test_a_list_of_a_spreadsheet_with_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "a,b.svs").touch()
    commas = listed('path,mpp,threshold\n"a,b.svs",0.25,\n', tmp_path)
    assert listed("path;mpp;threshold\r\na,b.svs;0,25;\r\n", tmp_path) == commas
    assert commas[0].mpp == 0.25
    with pytest.raises(OptionError, match="line 2: mpp must be a number"):
        listed("path;mpp\na,b.svs;0,2,5\n", tmp_path)


def test_a_list_that_is_not_in_utf8_says_how_to_save_it(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("path\nM\u00fcller.svs\n".encode("cp1252"))
    with path.open(encoding="utf-8-sig") as file, pytest.raises(OptionError, match="save it as CSV UTF-8"):
        read_list(file, str(path), tmp_path, BatchOptions(), ScanOptions())


COMPOSED, TAKEN_APART = "M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller", "Mu\N{COMBINING DIAERESIS}ller"


@pytest.mark.parametrize(("listed", "there"), [(COMPOSED, TAKEN_APART), (TAKEN_APART, COMPOSED)])
def test_accents_spelt_otherwise_make_no_other_slide(tmp_path: Path, listed: str, there: str) -> None:
    task = SlideTask(place=tmp_path / f"{listed}.svs", name=f"ward/{listed}", root=tmp_path)
    assert spelt_as_there([task], tmp_path / "none") == [task]
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / f"{there}.run.json").touch()
    (found,) = spelt_as_there([task], tmp_path)
    assert (found.name, found.place) == (f"ward/{there}", task.place)
    (tmp_path / "ward" / f"{listed}.run.json").touch()
    assert spelt_as_there([task], tmp_path) == [task], "results of exactly this name come first"
    names = [SlideTask(place=task.place, name=name, root=tmp_path) for name in (listed, there)]
    assert len({named.name for named in with_pseudonyms(names, b"secret")}) == 1
