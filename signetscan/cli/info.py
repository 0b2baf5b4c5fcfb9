"""`signetscan info`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import POSITIVE, json_result, result
from signetscan.cli.held_out import held_out_lines

if TYPE_CHECKING:
    from signetscan.info import ModelInfo, SlideInfo


@click.command()
@click.argument("path")
@click.option("--mpp", type=POSITIVE, help="Size of the slide's pixels, µm/px.  [default: what the file says]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(path: str, mpp: float | None, *, as_json: bool) -> None:
    """Describe a slide or a model.

    PATH is a slide, a model file, or the name of a model, as `signetscan models` lists them. A slide may be the address
    of a series in an archive that speaks DICOMweb.

    Example: signetscan info biopsy.svs
    """
    from signetscan.info import ModelInfo, describe

    described = describe(path, mpp=mpp)
    facts = _model(described) if isinstance(described, ModelInfo) else _slide(described)
    if as_json:
        json_result(facts, indent=2)
        return
    facts.pop("held_out", None)
    for key, value in facts.items():
        result(f"{key}: {_plain(value)}")
    if isinstance(described, ModelInfo):
        shown = described.spec.held_out
        for line in ("held_out: nobody measured it",) if shown is None else held_out_lines(shown):
            result(line)


def _plain(value: object) -> str:
    """A value as plain text: lists with semicolons, tables as `name value, name value`."""
    match value:
        case dict():
            pairs = (
                f"{key} ({_plain(inner)})" if isinstance(inner, dict) else f"{key} {_plain(inner)}"
                for key, inner in value.items()
            )
            return ", ".join(pairs)
        case [] | ():
            return "none"
        case list() | tuple():
            return "; ".join(map(_plain, value))
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _slide(slide: SlideInfo) -> dict[str, object]:
    mpp, bounds = slide.mpp, slide.bounds
    levels = zip(slide.level_dimensions, slide.level_downsamples, strict=True)
    size = "unknown: give it with --mpp" if mpp is None else f"{mpp.x:g} x {mpp.y:g} µm/px ({mpp.source})"
    part = "none declared"
    if bounds is not None:
        part = f"{bounds.width} x {bounds.height} px at x {bounds.x}, y {bounds.y}"
    return {
        "slide": slide.file,
        "format": slide.format_name,
        "size": f"{slide.dimensions[0]} x {slide.dimensions[1]} px",
        "mpp": size,
        "levels": [f"{width} x {height} (1/{downsample:g})" for (width, height), downsample in levels],
        "bounds": part,
        "fingerprint": slide.fingerprint,
        "warnings": [concern.message for concern in slide.concerns],
    }


def _model(model: ModelInfo) -> dict[str, object]:
    from dataclasses import asdict

    return {"model": model.file, "sha256": model.sha256, "task": str(model.spec.task)} | asdict(model.spec)
