"""`python -m signetscan`, the same as `signetscan`."""

from signetscan.cli.main import cli

cli(prog_name="signetscan")
