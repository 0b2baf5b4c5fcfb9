"""Optional libraries, and the extras of the package that install them."""

from __future__ import annotations

from importlib import util

from signetscan.errors import MissingExtraError

EXTRAS = {
    "onnxruntime": "cpu",
    "torch": "train",
    "onnx": "import",
    "onnxscript": "train",
    "tensorboardX": "train",
    "jinja2": "report",
    "matplotlib": "report",
    "pyarrow": "formats",
    "highdicom": "formats",
    "distributed": "dask",
    "wsidicom": "dicom",
    "requests": "dicom",
}
"""The extra that installs each optional library."""


def require(*libraries: str) -> None:
    """Check that optional libraries are installed, before the work that needs them starts.

    Args:
        libraries: names of libraries in `EXTRAS`.

    Raises:
        MissingExtraError: one is not installed; the message says how to install it.
    """
    for library in libraries:
        if util.find_spec(library) is None:
            raise missing(library)


def missing(library: str) -> MissingExtraError:
    """The error for an optional library of `EXTRAS` that is not installed."""
    return MissingExtraError(library, EXTRAS[library])
