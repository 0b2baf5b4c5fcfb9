from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.errors import ModelError
from signetscan.models.detection_spec import DetectionSpec
from signetscan.models.spec import METADATA_PREFIX, OPTIONAL
from signetscan.testing.specs import make_spec


def test_metadata_round_trip() -> None:
    spec = make_spec(recipe={"loss": "dghm-c", "lr": 1e-4}, class_names=("a", "b"), mpp=0.5)
    assert DetectionSpec.from_metadata(spec.to_metadata()) == spec
    assert DetectionSpec.from_metadata(spec.to_metadata() | {"other.tool": "x"}) == spec


@pytest.mark.parametrize("field", [key.removeprefix(METADATA_PREFIX) for key in make_spec().to_metadata()])
def test_a_missing_or_broken_field_is_named(field: str) -> None:
    metadata = make_spec().to_metadata()
    for broken in ({**metadata, METADATA_PREFIX + field: "{"}, {**metadata, METADATA_PREFIX + field: "null"}):
        with pytest.raises(ModelError, match=field):
            DetectionSpec.from_metadata(broken)
    if field in OPTIONAL:
        return
    del metadata[METADATA_PREFIX + field]
    with pytest.raises(ModelError, match=field):
        DetectionSpec.from_metadata(metadata)


def test_a_file_from_before_precision_was_noted_is_still_read() -> None:
    metadata = make_spec(precision="int8").to_metadata()
    assert DetectionSpec.from_metadata(metadata).precision == "int8"
    del metadata[METADATA_PREFIX + "precision"]
    assert DetectionSpec.from_metadata(metadata) == make_spec(precision="fp32")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contract", 2),
        ("mpp", 0),
        ("mpp", float("nan")),
        ("mpp", True),
        ("stride", 0),
        ("stride", 12.5),
        ("tile_size", 100),
        ("tile_size", 1 << 20),
        ("tile_overlap", 256),
        ("tile_overlap", -32),
        ("score_threshold", 1.01),
        ("nms_iou", "0.5"),
        ("class_names", ()),
        ("class_names", "abc"),
        ("class_names", (1,)),
        ("class_names", ("a", "\ud800")),
        ("class_names", ("",)),
        ("class_names", ("  ",)),
        ("class_names", ("a", " b")),
        ("class_names", ("a\u2003",)),
        ("class_names", ("a\nb",)),
        ("class_names", ("a\rb",)),
        ("class_names", ("a\tb",)),
        ("class_names", ("a\x1b[31mb",)),
        ("class_names", ("a\u2028b",)),
        ("class_names", (":",)),
        ("class_names", ("a:b",)),
        ("class_names", ("a: ",)),
        ("class_names", ("a::b",)),
        ("class_names", ("a : b",)),
        ("class_names", ("null",)),
        ("class_names", ("Unclassified",)),
        ("class_names", ("Ignore*",)),
        ("class_names", ("Cell: rejected",)),
        ("class_names", ("Cell", "cell")),
        ("class_names", ("c" * 201,)),
        ("class_names", tuple(map(str, range(257)))),
        ("name", "n" * 201),
        ("intended_use", "u" * 10_001),
        ("training_data", "\ud800"),
        ("recipe", []),
        ("licence", 3),
        ("precision", 8),
        ("tile_size_is_fixed", 1),
        ("batch_size", 0),
        ("batch_size", True),
        ("batch_size", 1025),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(ModelError, match=field):
        make_spec(**{field: value})


@pytest.mark.parametrize("name", ["Zelle: ß", "a, b", "Signet-ring (x) 100 %", "=1", "胃 \u200d x", "Normal"])
def test_a_name_that_qupath_reads_as_it_is_may_be_a_class(name: str) -> None:
    assert make_spec(class_names=(name, "other")).class_names == (name, "other")


def test_a_long_or_odd_value_does_not_fill_the_screen() -> None:
    for field, value in (("class_names", ("c" * 10**6,)), ("name", ["x" * 10**6]), ("class_names", ["x" * 10**6])):
        with pytest.raises(ModelError, match=field) as caught:
            make_spec(**{field: value})
        assert len(str(caught.value)) < 200


@given(
    st.sampled_from(sorted(make_spec().to_metadata())),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_any_json_is_taken_or_refused_and_nothing_else(key: str, value: object) -> None:
    metadata = make_spec().to_metadata() | {key: json.dumps(value)}
    with contextlib.suppress(ModelError):
        spec = DetectionSpec.from_metadata(metadata)
        assert 0 < spec.mpp <= 100
        assert spec.tile_overlap < spec.tile_size
