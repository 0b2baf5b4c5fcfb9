"""`python -m signetscan`, the same as `signetscan`."""


def main() -> None:
    """Run the command line.

    It is imported here, because the processes that a command starts import this module too, and need none of it.
    """
    from signetscan.cli.main import cli  # noqa: PLC0415

    cli(prog_name="signetscan")


if __name__ == "__main__":
    main()
