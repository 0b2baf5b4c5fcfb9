"""Requests to an archive that speaks DICOMweb, with bounds on what is sent to it and taken from it.

The token of the environment goes to the archive that the user names and nowhere else: not over a connection that others
can read, not to another host to which the archive points, and into no message.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from signetscan.errors import OptionError, SignetscanError
from signetscan.slides.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

TOKEN_VARIABLE = "SIGNETSCAN_DICOMWEB_TOKEN"  # noqa: S105 - the variable's name
"""Variable of the environment that holds the bearer token for the archive."""
TOKEN = re.compile(r"[!-~]{1,16384}")
CONNECT_S, READ_S = 10.0, 60.0
"""Seconds that a connection may take, and a server may say nothing."""
ANSWER_S = 600.0
"""Seconds that an answer may take as a whole."""
TRIES = 4
"""Requests are made this often at most, if the network or the server fails in a way that may pass."""
PAUSE_S = 0.5
"""Seconds before the second try; they double with each."""
MAY_PASS = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which another try may succeed."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 4
CONNECTIONS = 8
"""Requests that are under way at once."""
CHUNK_BYTES = 1 << 16
"""Bytes that are taken from the network at once."""
MOST_HEADER = 1 << 12
"""Longest header of a part of an answer, bytes."""


class ArchiveError(SignetscanError):
    """An archive cannot be reached, refuses a request or answers what cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a request."""

    status: int
    """Its HTTP status."""
    content_type: str
    """Its media type with parameters; empty if it has none."""
    has_more: bool
    """Whether the server says that it has left something out."""
    body: bytes
    """Its contents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPart:
    """A part of an answer that has several."""

    content_type: str
    """Its media type with parameters; empty if it has none."""
    body: bytes
    """Its contents."""


class Archive:
    """A connection to a DICOMweb service. Safe to use from several threads.

    Args:
        service: the service's address, checked by `check_service`.

    Raises:
        OptionError: there is a token, and it would be sent over a connection that others can read, or is none.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self._host = urlsplit(service).hostname or ""
        self._session = requests.Session()
        self._session.auth = _Bearer(_token(service))
        self._session.trust_env = not is_loopback(service)  # no proxy on the way to this machine
        self._session.mount(f"{urlsplit(service).scheme}://", HTTPAdapter(pool_maxsize=CONNECTIONS))

    def get(self, path: str, *, accept: str, most_bytes: int) -> Answer:
        """Ask for something.

        Args:
            path: where it is below the service, with a slash at its beginning.
            accept: the media type that is wanted.
            most_bytes: largest answer that is taken.

        Raises:
            ArchiveError: there is no such thing, or no usable answer.
        """
        answer = self._send("GET", f"{self.service}{path}", {"Accept": accept}, None, most_bytes)
        self.check(answer)
        return answer

    def check(self, answer: Answer) -> None:
        """Refuse an answer that says that there is none.

        Raises:
            ArchiveError: its status says why.
        """
        if not 200 <= answer.status < 300:
            raise ArchiveError(f"{self._host} {_meaning(answer.status)}")

    def post(self, path: str, body: bytes, *, content_type: str, accept: str, most_bytes: int) -> Answer:
        """Send something, once: whether a server that says nothing has taken it is not known.

        Args:
            path: where it goes, below the service, with a slash at its beginning.
            body: what is sent.
            content_type: its media type.
            accept: the media type of the answer that is wanted.
            most_bytes: largest answer that is taken.

        Returns:
            The answer, whatever its status.

        Raises:
            ArchiveError: there is no answer.
        """
        headers = {"Accept": accept, "Content-Type": content_type}
        return self._send("POST", f"{self.service}{path}", headers, body, most_bytes)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        """Use in a `with` block, which closes the connections."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes | None, most_bytes: int) -> Answer:
        tries = TRIES if body is None else 1
        for number in range(tries):
            is_last = number == tries - 1
            try:
                answer = self._follow(method, url, headers, body, most_bytes)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                if is_last or isinstance(error, requests.exceptions.SSLError):
                    raise self._failed(error) from error
            except (requests.RequestException, ValueError) as error:
                raise self._failed(error) from error
            else:
                if is_last or answer.status not in MAY_PASS:
                    return answer
            time.sleep(PAUSE_S * 2**number)
        raise AssertionError

    def _follow(self, method: str, url: str, headers: dict[str, str], body: bytes | None, most_bytes: int) -> Answer:
        """Send a request, and again to where the server moves it, if that is the same server."""
        for _ in range(MOST_REDIRECTS):
            with self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                stream=True,
                timeout=(CONNECT_S, READ_S),
                allow_redirects=False,
            ) as response:
                if response.status_code not in REDIRECTS:
                    return Answer(
                        status=response.status_code,
                        content_type=response.headers.get("Content-Type", ""),
                        has_more=response.headers.get("Warning", "").startswith("299"),
                        body=self._body(response, most_bytes),
                    )
                moved = urljoin(url, response.headers.get("Location", ""))
            if urlsplit(moved)[:2] != urlsplit(url)[:2]:
                message = f"{self._host} sends the request on to another server, which is not followed; name that one"
                raise ArchiveError(message)
            url = moved
        message = f"{self._host} sends the request on again and again"
        raise ArchiveError(message)

    def _body(self, response: requests.Response, most_bytes: int) -> bytes:
        until, parts, size = time.monotonic() + ANSWER_S, [], 0
        for chunk in response.iter_content(CHUNK_BYTES):
            size += len(chunk)
            if size > most_bytes:
                message = f"{self._host} answers with more than {most_bytes} bytes, which cannot be right"
                raise ArchiveError(message)
            if time.monotonic() > until:
                message = f"{self._host} has not completed its answer in {ANSWER_S:.0f} s"
                raise ArchiveError(message)
            parts.append(chunk)
        return b"".join(parts)

    def _failed(self, error: Exception) -> ArchiveError:
        """Why there is no answer. The error's own text is left out, because it repeats the whole address."""
        match error:
            case requests.exceptions.SSLError():
                why = "has no certificate that this machine trusts; set REQUESTS_CA_BUNDLE to that of its authority"
            case requests.exceptions.ProxyError():
                why = "cannot be reached through the proxy"
            case requests.Timeout():
                why = f"did not answer in {READ_S:.0f} s"
            case requests.ConnectionError():
                why = "cannot be reached, or broke the connection"
            case _:
                why = f"gives no answer that can be used ({type(error).__name__})"
        return ArchiveError(f"{self._host} {why}")


class _Bearer(requests.auth.AuthBase):
    """Adds the token to requests, if there is one; without it, requests would look for passwords in ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def parts_of(answer: Answer) -> Iterator[AnswerPart]:
    """The parts of an answer of media type multipart/related.

    Raises:
        ArchiveError: it is none.
    """
    found = re.search(r'boundary=(?:"([^"]{1,200})"|([^;,\s]{1,200}))', answer.content_type)
    if not answer.content_type.lower().startswith("multipart/related") or found is None:
        message = "the archive answers otherwise than asked; is it a DICOMweb service?"
        raise ArchiveError(message)
    mark = b"--" + (found[1] or found[2]).encode("ascii", "replace")
    for section in (b"\r\n" + answer.body).split(b"\r\n" + mark)[1:]:
        if section.startswith(b"--"):
            return
        head, blank, body = section.partition(b"\r\n\r\n")
        if not blank or len(head) > MOST_HEADER:
            message = "an answer of the archive is cut short or damaged"
            raise ArchiveError(message)
        lines = (line.partition(":") for line in head.decode("ascii", "replace").split("\r\n"))
        types = [value.strip() for name, _, value in lines if name.strip().lower() == "content-type"]
        yield AnswerPart(content_type=types[0] if types else "", body=body)


def _token(service: str) -> str | None:
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        return None
    if not TOKEN.fullmatch(token):
        message = f"{TOKEN_VARIABLE} holds no token: it has spaces or letters that no token has"
        raise OptionError(message)
    if not service.startswith("https://") and not is_loopback(service):
        message = f"{TOKEN_VARIABLE} is set, and over http everybody on the way could read the token; use https"
        raise OptionError(message)
    return token


def _meaning(status: int) -> str:
    match status:
        case 401 | 403:
            held = os.environ.get(TOKEN_VARIABLE)
            what = f"the token in {TOKEN_VARIABLE} may have expired" if held else f"set {TOKEN_VARIABLE}"
            return f"refuses access (HTTP {status}): {what}"
        case 404 | 410:
            return f"has nothing at this address (HTTP {status}); check it"
        case 406 | 415:
            return f"cannot give what is asked for in a form that is understood (HTTP {status})"
        case _:
            return f"cannot answer (HTTP {status}); try again later, or ask who runs it"
