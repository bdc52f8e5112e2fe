"""What keeps other web sites and other names out: Host, Origin, Sec-Fetch-Site, a token in each form, headers.

The pages act for actors, so a page of another site must neither post to them nor read them:

* Host must be one of the allowed hosts, or a name that an attacker points at 127.0.0.1 would be same-origin with
  us (DNS rebinding).
* Posts need the session's token, must not be cross-site by ``Sec-Fetch-Site``, and an ``Origin``, when there is
  one, must be ours. The cookie is SameSite=Strict, HttpOnly, and named by app: cookies ignore ports.
* A websocket is not covered by the same-origin policy, so its ``Origin`` is checked as well. A client that sends
  none is no browser.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from ipaddress import ip_address

from quart import Quart, Response, abort, request, session, websocket
from quart.wrappers import Request, Websocket

TOKEN_FIELD = "csrf_token"  # noqa: S105 the name of a field
TOKEN_KEY = "csrf"  # noqa: S105
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared with, not bound to
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    # Leaflet's canvas needs no inline style; data: images are its 1-pixel placeholder.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def install(app: Quart, secret: bytes, allowed_hosts: Sequence[str]) -> None:
    """Guard every request and websocket of `app`.

    `allowed_hosts` are names and addresses without port. ``0.0.0.0`` or ``::`` among them stands for any IP
    address: who listens on all of them cannot list them, and rebinding needs a name.
    """
    app.secret_key = hashlib.sha256(b"session" + secret).digest()
    app.config["SESSION_COOKIE_NAME"] = "crowdmesh_" + hashlib.sha256(b"cookie" + secret).hexdigest()[:12]
    app.config["SESSION_COOKIE_SAMESITE"] = "Strict"
    app.config["SESSION_COOKIE_HTTPONLY"] = True
    hosts = frozenset(host.lower().strip("[]") for host in allowed_hosts)

    @app.before_request
    async def check_request() -> None:
        _check_host(request, hosts)
        if request.method not in SAFE_METHODS:
            _check_origin(request)
            if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
                abort(403, "The request came from another site.")
            given = (await request.form).get(TOKEN_FIELD, "")
            expected = session.get(TOKEN_KEY, "")
            if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
                abort(403, "The form is too old or came from elsewhere. Go back, reload the page and send it again.")

    @app.before_websocket
    async def check_websocket() -> None:
        _check_host(websocket, hosts)
        _check_origin(websocket)

    @app.after_request
    async def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    app.jinja_env.globals["csrf_token"] = csrf_token


def hosts_of(bind: str) -> tuple[str, ...]:
    """Which hosts to allow for a server that listens on `bind`: itself, this machine's own names for a loopback or
    wildcard address, and any address for a wildcard.
    """
    loopback = ("localhost", "127.0.0.1", "::1")
    host = bind.lower().strip("[]")
    return (*loopback, host) if host in {*loopback, *WILDCARDS} else (host,)


def csrf_token() -> str:
    """The token of this session; made when the first form is drawn."""
    token = session.get(TOKEN_KEY)
    if not isinstance(token, str):
        token = secrets.token_urlsafe(24)
        session[TOKEN_KEY] = token
    return token


def split_host(netloc: str) -> str:
    """The host of ``host``, ``host:port``, ``[v6]`` or ``[v6]:port``, in lower case without brackets."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0].lower()
    return netloc.partition(":")[0].lower()


def _check_host(asked: Request | Websocket, hosts: frozenset[str]) -> None:
    host = split_host(asked.headers.get("Host", ""))
    if host in hosts or (hosts & WILDCARDS and _is_address(host)):
        return
    abort(400, "This server does not answer to that name. Use the address it printed when it started.")


def _check_origin(asked: Request | Websocket) -> None:
    origin = asked.headers.get("Origin")
    if origin is None:
        return
    # The scheme is not compared: a proxy that speaks TLS in front of us changes it.
    if origin.partition("://")[2].lower() != asked.headers.get("Host", "").lower():
        abort(403, "The request came from another site.")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
