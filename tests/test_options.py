"""Options that describe themselves: ranges, types, and what the command line makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

import click
import pytest
from click.testing import CliRunner

from signetscan.cli.flags import flags_of, given, with_flags
from signetscan.errors import MppError, OptionError
from signetscan.options import Option, check_options, option, options_from, options_of, parse_option, result_values


@dataclass(frozen=True, kw_only=True)
class Chosen:
    size: int | None = option(None, Option(help="Side of a thing.", unit="px", low=1, high=9, default="the model's"))
    share: float = option(0.5, Option(help="Share.", low=0, high=1, above=True, former="part"))
    kind: Literal["a", "b"] = option("a", Option(help="Kind."))
    names: tuple[str, ...] = option((), Option(help="Names.", changes_result=False))
    sure: bool = option(True, Option(help="Be sure.", opposite="unsure"))
    report: bool = option(False, Option(help="Write a report.", changes_result=False))
    private: int = field(default=3)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class InForce(Chosen):
    size: int


@click.command()
@flags_of(Chosen, leave_out=("kind",))
@click.pass_context
def command(context: click.Context, /, **values: object) -> None:
    context.obj["chosen"] = given(Chosen, values)


def run(*arguments: str) -> Chosen:
    box: dict[str, Chosen] = {}
    result = CliRunner().invoke(command, arguments, obj=box, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return box["chosen"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size must be from 1 to 9 px, not 0"),
        ({"size": 10}, "size must be from 1 to 9 px, not 10"),
        ({"share": 0.0}, "share must be above 0 to 1, not 0.0"),
        ({"share": float("nan")}, "share must be above 0 to 1, not nan"),
        ({"kind": "c"}, "kind must be one of a, b, not c"),
    ],
)
def test_a_value_out_of_range_is_named(values: dict[str, int], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)) as caught:
        Chosen(**values)  # type: ignore[arg-type]
    assert caught.value.options == tuple(values)


@pytest.mark.parametrize("values", [{"size": 1}, {"size": 9}, {"share": 1.0}, {"size": None}])
def test_the_ends_of_a_range_are_in_it(values: dict[str, int]) -> None:
    Chosen(**values)  # type: ignore[arg-type]


def test_a_narrower_class_has_the_same_options() -> None:
    assert options_of(InForce) == options_of(Chosen)
    with pytest.raises(OptionError, match="size"):
        InForce(size=0)


def test_result_values_are_those_of_options_that_change_results() -> None:
    assert result_values(Chosen(size=2)) == {"size": 2, "share": 0.5, "kind": "a", "sure": True}


def test_texts_become_values_of_the_type() -> None:
    assert parse_option(Chosen, "size", "4") == 4
    assert parse_option(Chosen, "size", "4.0") == 4
    assert parse_option(Chosen, "share", ".25") == 0.25
    with pytest.raises(OptionError, match="size must be a whole number"):
        parse_option(Chosen, "size", "4.5")
    with pytest.raises(OptionError, match="share must be a number, not 'half'"):
        parse_option(Chosen, "share", "half")


def test_plain_values_become_options_by_present_or_former_names() -> None:
    assert options_from(Chosen, {"size": 3, "part": 1, "names": ["x"], "sure": False}, private=5) == Chosen(
        size=3, share=1.0, names=("x",), sure=False, private=5
    )
    assert options_from(Chosen, {"size": None}) == Chosen()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "there is no option colour"),
        ({"private": 1}, "there is no option private"),
        ({"size": "3"}, "size must be of the type int, not '3'"),
        ({"size": 3.0}, "size must be of the type int, not 3.0"),
        ({"size": True}, "size must be of the type int, not True"),
        ({"share": None}, "share must be of the type float, not None"),
        ({"sure": 1}, "sure must be of the type bool, not 1"),
        ({"names": "xyz"}, "names must be a list, not 'xyz'"),
        ({"names": [1]}, "names must be of the type str, not 1"),
        ({"kind": "c"}, "kind must be one of a, b, not c"),
    ],
)
def test_plain_values_of_another_type_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        options_from(Chosen, values)


def test_flags_give_what_the_class_holds() -> None:
    assert run() == Chosen()
    flags = ("--size", "3", "--share", "1", "--names", "x", "--names", "y", "--unsure", "--report")
    assert run(*flags) == Chosen(size=3, share=1.0, names=("x", "y"), sure=False, report=True)
    assert run("--part", "0.25") == Chosen(share=0.25)


def test_the_environment_may_use_a_former_name() -> None:
    def share(**variables: str) -> float:
        box: dict[str, Chosen] = {}
        run = CliRunner().invoke(command, [], obj=box, env=variables, auto_envvar_prefix="X", catch_exceptions=False)
        assert run.exit_code == 0, run.output
        return box["chosen"].share

    assert share(X_PART="0.25") == 0.25
    assert share(X_PART="0.25", X_SHARE="0.75") == 0.75


@pytest.mark.parametrize("flags", [("--size", "0"), ("--share", "0"), ("--kind", "a"), ("--private", "1")])
def test_flags_know_the_ranges(flags: tuple[str, str]) -> None:
    assert CliRunner().invoke(command, flags).exit_code == 2


def test_help_says_range_unit_and_default() -> None:
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "--size INTEGER RANGE Side of a thing, px. [default: the model's]" in text
    assert "--sure / --unsure Be sure." in text
    assert "--share" in text
    assert "--part" not in text


def test_an_error_gets_the_flags_of_its_options() -> None:
    assert with_flags(MppError("no size. Say it.", options=("size",)), command) == "no size. Say it. See --size"
    assert with_flags(MppError("odd", options=("size", "out", "share")), command) == "odd. See --size and --share"
    assert with_flags(MppError("odd", options=("out",)), command) == "odd"
