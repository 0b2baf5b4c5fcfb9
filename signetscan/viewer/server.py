"""The viewer's web server: it answers this machine only, and only requests with its token.

A stranger's page that is open in the same browser can send requests to it too. So nothing is answered without the
token, which such a page does not know; requests that name another host are refused, since a stranger's domain may
resolve to this machine (DNS rebinding); and only the viewer's own page can make changes.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import socketserver
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from signetscan.errors import OptionError
from signetscan.json_values import JsonError, JsonTable, parse_json
from signetscan.viewer.replies import JSON_TYPE, Reply, refusal

if TYPE_CHECKING:
    from signetscan.viewer.replies import Answering

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
"""The only address that the server listens on."""
MOST_BODY_BYTES = 1 << 15
"""Longest request body, bytes; a change of a mark takes about a hundred, and some are sent together."""
IDLE_S = 60.0
"""Seconds after which an idle connection is closed."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every answer: nobody else's page shows it, and the browser keeps no picture of the slide."""


class ViewerServer(ThreadingHTTPServer):
    """Serves a viewer until it is shut down.

    Args:
        viewer: the viewer of a slide, or of a folder of results.
        port: the port to listen on; 0 takes a free one.

    Raises:
        OptionError: the port cannot be used.
    """

    daemon_threads = True
    # On Windows this would let two programs listen on one port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, viewer: Answering, port: int = 0) -> None:
        self.viewer = viewer
        self.token = secrets.token_urlsafe(32)
        try:
            super().__init__((LOOPBACK, port), Handler)
        except OSError as error:
            message = (
                f"port {port} of {LOOPBACK} cannot be used: {error.strerror}; choose another, or 0 for any free one"
            )
            raise OptionError(message, options=("port",)) from error

    def server_bind(self) -> None:
        """Bind the socket. The base class would also ask the network for the name of this machine."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, int(self.server_address[1])

    @property
    def url(self) -> str:
        """The address to open, with the token in it."""
        return f"http://{LOOPBACK}:{self.server_port}/?token={self.token}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The values of the Host header that a request may have."""
        return f"{LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}"

    @property
    def cookie(self) -> str:
        """Name of the cookie that holds the token. It has the port in it, since cookies do not tell ports apart."""
        return f"signetscan-{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base's signature
        """Log the failure of a connection, which most often means that the browser closed it."""
        logger.debug("a request failed", exc_info=sys.exc_info())


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: ViewerServer
    server_version = "signetscan"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_GET(self) -> None:
        """Answer with the content at an address."""
        self._send(self._refused() or self.server.viewer.get(self._address()[0]))

    def do_POST(self) -> None:
        """Make a change and answer with its result."""
        self._send(self._refused() or self._posted())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse a malformed request in plain text, without repeating any of it."""
        self._send(refusal(code, HTTPStatus(code).phrase))

    def log_message(self, *_: object) -> None:
        """Log nothing: addresses hold the token."""

    def _address(self) -> tuple[str, str]:
        """The path and the query, undecoded, so that no address has two spellings."""
        path, _, query = self.path.partition("?")
        return path, query

    def _refused(self) -> Reply | None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            return refusal(421, "This address is not served here.")
        path, query = self._address()
        opens = path == "/" and self._is_token(query.removeprefix("token="))
        if not (opens or self._has_cookie()):
            return refusal(403, "Open the address that signetscan view printed when it started.")
        if "?" in self.path and not opens:
            return refusal(404, "There is nothing here.")
        return None

    def _has_cookie(self) -> bool:
        pairs = (pair.strip().partition("=") for pair in self.headers.get("Cookie", "").split(";"))
        return any(name == self.server.cookie and self._is_token(value) for name, _, value in pairs)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(errors="replace"), self.server.token.encode())

    def _posted(self) -> Reply:
        if self.headers.get("Origin") not in {f"http://{host}" for host in self.server.hosts}:
            return refusal(403, "Only the viewer's own page can make changes.")
        if self.headers.get_content_type() != JSON_TYPE:
            return refusal(415, f"The content must be {JSON_TYPE}.")
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            return refusal(411, "The length must be given.")
        if len(length) > 9 or int(length) > MOST_BODY_BYTES:
            return refusal(413, f"At most {MOST_BODY_BYTES} bytes are taken.")
        try:
            content = JsonTable.of(parse_json(self.rfile.read(int(length))))
        except JsonError:
            return refusal(400, "The content is not a JSON object.")
        return self.server.viewer.post(self._address()[0], content.values)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", reply.policy)
        self.send_header("Content-Type", reply.kind)
        if reply.location:
            self.send_header("Location", reply.location)
        self.send_header("Content-Length", str(len(reply.body)))
        if reply.status >= 400:  # the request's body may be unread, and would be taken for the next request
            self.close_connection = True
            self.send_header("Connection", "close")
        elif self._address()[1]:  # the address held the token; from now on the cookie does
            cookie = f"{self.server.cookie}={self.server.token}; Path=/; HttpOnly; SameSite=Strict"
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(reply.body)
