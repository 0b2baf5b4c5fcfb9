"""Answers to requests, and what gives them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signetscan.json_values import Json

JSON_TYPE = "application/json"
HTML = "text/html; charset=utf-8"

NO_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""Allows an empty style element, by which the page keeps OpenSeadragon from adding one that is not empty."""
OWN_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {NO_STYLE}; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of our own pages, which load nothing from elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request."""

    status: int = 200
    """HTTP status."""
    kind: str = "text/plain; charset=utf-8"
    """Type of the content."""
    body: bytes
    """The content."""
    policy: str = OWN_POLICY
    """Content security policy."""
    location: str = ""
    """Another address that is to be asked for; empty if this is the answer."""


class Answering(Protocol):
    """What a server serves: a single slide, or all slides of a folder. Safe to use from several threads."""

    warnings: tuple[str, ...]
    """What the user should know before the page opens."""

    @property
    def saved_to(self) -> str:
        """Where marks are saved, for a message."""

    def get(self, address: str) -> Reply:
        """The content at an address, or status 404."""

    def post(self, address: str, content: Mapping[str, Json]) -> Reply:
        """Make a change, and answer with what it led to."""

    def close(self) -> None:
        """Wait until running saves are done, prevent further ones, and close what is open."""


def refusal(status: int, why: str) -> Reply:
    """An answer that says why a request is refused."""
    return Reply(status=status, body=f"{why}\n".encode())


def see_other(location: str) -> Reply:
    """An answer that leads to another address of the viewer."""
    return Reply(status=303, body=b"", location=location)


def not_there() -> Reply:
    """The answer to a request for anything that is not in the tables of addresses."""
    return refusal(404, "There is nothing here.")


def json_reply(value: Json) -> Reply:
    """An answer as JSON."""
    return Reply(kind=JSON_TYPE, body=json.dumps(value, allow_nan=False).encode())
