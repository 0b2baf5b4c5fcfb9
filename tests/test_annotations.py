from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from signetscan.annotations import boxes_xml, read_boxes_xml
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ONE_BOX = (
    "<object><name>cell</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>"
)
NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12)
"""What XML can hold without a change; white space at either end is taken off by the reader."""


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ---- what is written comes back -------------------------------------------------------------------------------------


@given(
    boxes=st.integers(0, 6).flatmap(lambda count: arrays(np.float64, (count, 4), elements=st.floats(-1e6, 1e6))),
    data=st.data(),
)
def test_what_is_written_is_read_in_whole_pixels(
    tmp_path_factory: pytest.TempPathFactory, boxes: NDArray[np.float64], data: st.DataObject
) -> None:
    names = data.draw(st.lists(NAMES, min_size=len(boxes), max_size=len(boxes)))
    image_name = data.draw(NAMES)
    path = written(tmp_path_factory.mktemp("xml") / "a b.xml", boxes_xml(image_name, (2000, 1500), boxes, names))
    found = read_boxes_xml(path)
    np.testing.assert_array_equal(found.boxes, np.rint(boxes))
    assert found.names == tuple(name.strip() for name in names)


def test_the_file_is_voc_as_digestpath_has_it() -> None:
    content = boxes_xml("a b.jpeg", (2003, 2010), np.array([[1.4, 2.6, 30.0, 40.0]]), ["Signet ring cell"])
    assert content.decode() == (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        "<annotation>\n"
        "  <filename>a b.jpeg</filename>\n"
        "  <size>\n"
        "    <width>2003</width>\n"
        "    <height>2010</height>\n"
        "    <depth>3</depth>\n"
        "  </size>\n"
        "  <object>\n"
        "    <name>Signet ring cell</name>\n"
        "    <bndbox>\n"
        "      <xmin>1</xmin>\n"
        "      <ymin>3</ymin>\n"
        "      <xmax>30</xmax>\n"
        "      <ymax>40</ymax>\n"
        "    </bndbox>\n"
        "  </object>\n"
        "</annotation>\n"
    )


def test_a_name_for_each_box_or_none_is_written() -> None:
    with pytest.raises(ValueError, match="zip"):
        boxes_xml("a.jpeg", (10, 10), np.zeros((2, 4)), ["cell"])


def test_other_writers_files_are_read(tmp_path: Path) -> None:
    """Any root, corners in any order and with fractions, more elements than needed, and no names."""
    path = written(
        tmp_path / "a.xml",
        '<?xml version="1.0" encoding="utf-16"?><!-- made by hand --><Annotation><folder>x</folder><object>'
        "<pose>Unspecified</pose><bndbox><ymax> 40 </ymax><xmax>3.05e1</xmax>\n<ymin>2</ymin><xmin>-1.5</xmin></bndbox>"
        "<name>\n Signet ring cell </name></object><group>"
        + ONE_BOX.replace("<name>cell</name>", "")
        + "</group></Annotation>",
    )
    path.write_bytes(path.read_text().encode("utf-16"))
    found = read_boxes_xml(path)
    assert found.boxes.tolist() == [[-1.5, 2, 30.5, 40], [1, 2, 30, 40]]
    assert found.names == ("Signet ring cell", "")


def test_a_file_without_objects_has_no_boxes(tmp_path: Path) -> None:
    found = read_boxes_xml(written(tmp_path / "a.xml", "<annotation/>"))
    assert found.boxes.shape == (0, 4)
    assert found.names == ()


# ---- what cannot be used --------------------------------------------------------------------------------------------


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "content",
    [
        f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a><object><name>&l11;</name></object></a>',
        '<!DOCTYPE a [<!ENTITY e SYSTEM "secret.txt">]><a><object><name>&e;</name></object></a>',
        '<!DOCTYPE a [<!ENTITY % e SYSTEM "http://127.0.0.1:9/e.dtd"> %e;]><a/>',
        "",
        "hello",
        f"<a>{ONE_BOX}",
        f"<a>{ONE_BOX}</b>",
        f"<a>{ONE_BOX}</a><a/>",
        "<a>&nbsp;</a>",
        '<?xml version="1.0" encoding="no-such-encoding"?><a/>',
        '<?xml version="1.0" encoding="hex"?><a/>',
        '<?xml version="1.0" encoding="shift_jis"?><a/>',
        b"<a>\xff\xfe</a>",
        b"<a>\0</a>",
        b"\xff\xd8\xff\xe0 a JPEG",
    ],
    ids=[
        "billion laughs",
        "external entity",
        "external DTD",
        "empty",
        "text",
        "cut short",
        "wrong end tag",
        "two roots",
        "unknown entity",
        "unknown encoding",
        "encoding that is none",
        "multi-byte encoding",
        "not UTF-8",
        "NUL",
        "binary",
    ],
)
def test_what_is_not_plain_xml_is_refused_by_name(tmp_path: Path, content: bytes | str) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    path = written(tmp_path / "a bad one.xml", content)
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(path))}: ") as caught:
        read_boxes_xml(path)
    assert "\n" not in str(caught.value)
    assert "the secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<bndbox>", "<bndbox><xmin>nan</xmin>"),
        ("<xmax>30</xmax>", "<xmax>inf</xmax>"),
        ("<xmax>30</xmax>", "<xmax>1e999</xmax>"),
        ("<xmax>30</xmax>", "<xmax></xmax>"),
        ("<xmax>30</xmax>", "<xmax>thirty</xmax>"),
        ("<xmax>30</xmax>", ""),
        ("bndbox>", "polygon>"),
    ],
)
def test_an_object_without_four_numbers_is_refused_by_name_and_number(tmp_path: Path, old: str, new: str) -> None:
    broken = ONE_BOX.replace(old, new)
    assert broken != ONE_BOX
    path = written(tmp_path / "a.xml", f"<a>{ONE_BOX}{broken}</a>")
    with pytest.raises(AnnotationError, match=r"a\.xml: object 2 .*bndbox"):
        read_boxes_xml(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.xml", f"<a>{ONE_BOX}</a>")
    monkeypatch.setattr("signetscan.annotations.voc.MAX_XML_BYTES", path.stat().st_size)
    assert len(read_boxes_xml(path).boxes) == 1
    written(path, f"<a>{ONE_BOX}</a> and this cannot be read")
    with pytest.raises(AnnotationError, match=r"a\.xml: .*too large"):
        read_boxes_xml(path)


def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "folder.xml").mkdir()
    for name in ("missing.xml", "folder.xml"):
        with pytest.raises(AnnotationError, match=name):
            read_boxes_xml(tmp_path / name)
