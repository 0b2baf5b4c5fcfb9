"""`signetscan info`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from signetscan.cli.console import POSITIVE
from signetscan.models.store import find_model, shipped_model


@click.command()
@click.argument("path")
@click.option("--mpp", type=POSITIVE, help="Size of the slide's pixels, um/px.  [default: what the file says]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(path: str, mpp: float | None, *, as_json: bool) -> None:
    """Describe the slide or the model at PATH.

    PATH may also be the name of a model that ships with signetscan.

    Example: signetscan info biopsy.svs
    """
    is_model = path.endswith(".onnx") or (not Path(path).exists() and shipped_model(path) is not None)
    facts = _model(find_model(path)) if is_model else _slide(Path(path), mpp)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        click.echo(f"{key}: {_plain(value)}")


def _plain(value: object) -> str:
    """A value as people read it: lists with semicolons, tables as `name value, name value`."""
    match value:
        case dict():
            pairs = (
                f"{key} ({_plain(own)})" if isinstance(own, dict) else f"{key} {_plain(own)}"
                for key, own in value.items()
            )
            return ", ".join(pairs)
        case list() | tuple():
            return "; ".join(map(_plain, value))
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _slide(path: Path, mpp: float | None) -> dict[str, Any]:
    from signetscan.slides import open_slide

    with open_slide(path, mpp=mpp) as slide:
        size = "unknown: give it with --mpp"
        if slide.mpp is not None:
            size = f"{slide.mpp.x:g} x {slide.mpp.y:g} um/px, from {slide.mpp.source}"
        levels = zip(slide.level_dimensions, slide.level_downsamples, strict=True)
        bounds = slide.bounds
        return {
            "slide": path.name,
            "format": slide.format_name,
            "size": f"{slide.dimensions[0]} x {slide.dimensions[1]} px",
            "mpp": size,
            "levels": [f"{width} x {height} (1/{downsample:g})" for (width, height), downsample in levels],
            "bounds": "none declared"
            if bounds is None
            else f"{bounds.width} x {bounds.height} px at x {bounds.x}, y {bounds.y}",
            "fingerprint": slide.fingerprint,
        }


def _model(path: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from signetscan.models.detector import load_detector

    detector = load_detector(path, device="cpu")
    return {"model": path.name, "sha256": detector.sha256} | asdict(detector.spec)
