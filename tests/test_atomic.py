"""Files that appear whole or not at all, whatever somebody else puts into the folder."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from signetscan.atomic import atomic_text, part_path

if TYPE_CHECKING:
    from pathlib import Path


def test_nobody_can_put_a_link_where_a_part_will_be_written(tmp_path: Path) -> None:
    """Two parts of one file have names that differ by what cannot be guessed, and neither was there before."""
    names = []
    for _ in range(2):
        with part_path(tmp_path / "a.csv") as part:
            names.append(part.name)
            assert part.is_file()
            assert not part.is_symlink()
    assert len(set(names)) == 2
    assert all(re.fullmatch(rf"\.a\.csv\.{os.getpid()}\.[0-9a-f]{{16}}\.part", name) for name in names)


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "a.csv").symlink_to(victim)
    with atomic_text(tmp_path / "a.csv") as file:
        file.write("ours")
    assert victim.read_text() == "precious"
    assert (tmp_path / "a.csv").read_text() == "ours"
    assert not (tmp_path / "a.csv").is_symlink()
