"""Who may use the studio: pages of this server that were opened with its token, but no other sites or users."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "frame-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
)
"""The content security policy of all pages."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Access:
    """What a request must have.

    Args:
        port: The port of the server.
        token: A secret that the address has once, and then a cookie of the browser.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def address(self) -> str:
        """The address to open."""
        return f"http://127.0.0.1:{self.port}/?{urlencode({'token': self.token})}"

    @property
    def hosts(self) -> set[str]:
        """The values of the Host header of requests to this machine; another site's name can resolve to its address too."""
        return {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}

    @property
    def cookie(self) -> str:
        """The name of the cookie; browsers share cookies between ports."""
        return f"cnnexplain-{self.port}"

    def is_local(self, headers: Headers) -> bool:
        """Whether a request is to this machine, and from a page of this server or from no page."""
        origin = headers.get("origin")
        return headers.get("host") in self.hosts and (origin is None or origin in {f"http://{host}" for host in self.hosts})

    def is_known(self, headers: Headers) -> bool:
        """Whether a request has the cookie."""
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        found = cookies.get(self.cookie)
        return found is not None and self.matches(found.value)

    def matches(self, token: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(token.encode(), self.token.encode())


def guarded(app: ASGIApp, access: Access) -> ASGIApp:
    """The application for requests that have access; the address with the token sets the cookie."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (_refusal(access, scope) or app)(scope, receive, with_headers)

    return guard


def _refusal(access: Access, scope: Scope) -> ASGIApp | None:
    """What answers in place of the application; None for a request that has access."""
    headers, websocket = Headers(scope=scope), scope["type"] == "websocket"
    # Browsers send the origin with each WebSocket; a request without one comes from another program.
    if not access.is_local(headers) or (websocket and "origin" not in headers):
        return _refuse("This address is for pages of the studio on this machine only.")
    query = parse_qs(scope["query_string"].decode("latin-1"))
    if not websocket and "token" in query:
        if not access.matches(query.pop("token")[0]):
            return _refuse("This token is not the one of this studio, which may have been restarted.")
        rest = urlencode(query, doseq=True)
        # A path with two slashes would be another server's address.
        path = "/" + scope["path"].lstrip("/\\")
        response = RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)
        response.set_cookie(access.cookie, access.token, httponly=True, samesite="strict")
        return response
    if not access.is_known(headers):
        return _refuse("Open the address that 'cnnexplain studio' printed; it contains a token, and each start has another.")
    return None


def _refuse(words: str) -> ASGIApp:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": words})
        else:
            await PlainTextResponse(words, status_code=403)(scope, receive, send)

    return refuse
