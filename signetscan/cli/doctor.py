"""`signetscan doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from signetscan.cli.console import FILE, json_result, result
from signetscan.cli.statuses import ENVIRONMENT
from signetscan.models.store import DEFAULT_MODEL

MARKS = {"ok": "ok", "absent": "--", "broken": "BROKEN"}


@click.command()
@click.option("--model", default=DEFAULT_MODEL, help="Name of a shipped model, or an ONNX file, to run.")
@click.option(
    "--out",
    "-o",
    type=FILE,
    default=Path("signetscan-results"),
    help="Folder for results, whose disk is checked.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, /, model: str, out: Path, *, as_json: bool) -> None:
    """Check whether this machine can run signetscan.

    Opens a slide, runs the model on each device that the installed runtime supports, and checks the disk. Says what to
    fix where something is broken.

    Exit status: 0 all works, 4 something is broken.

    Example: signetscan doctor --out results
    """
    from signetscan.doctor import check_machine

    findings = []
    for finding in check_machine(model, out):
        findings.append(finding)
        if not as_json:
            result(f"{MARKS[finding.state]:6s}  {finding.part}: {finding.detail}")
    if as_json:
        json_result([asdict(finding) for finding in findings])
    if any(finding.state == "broken" for finding in findings):
        context.exit(ENVIRONMENT)
