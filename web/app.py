"""The application: one for all actors of a process."""

import logging
from collections.abc import Sequence

import msgspec
from quart import Response, has_websocket_context, render_template, request, websocket
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from actors.control import CommandRefusedError, Control, LedgerUnavailableError, UnknownActorError, UnknownRecordError
from web import actors, blocks, campaigns, channel, guard, live, metrics, reports, runs, search, wording
from web.answer import BadInputError
from web.assets import Assets

MAX_BODY = 16 * 1024
"""Bytes of a form; the largest that we draw has under 1 kB."""

log = logging.getLogger("web")


def create_app(
    control: Control, *, secret: bytes, allowed_hosts: Sequence[str], assets: Assets | None = None
) -> QuartTrio:
    """The web UI of a population.

    `secret` signs sessions and names the cookie, so it should differ between apps of one host and be the same
    when one of them restarts. `allowed_hosts`: see `guard.install`. `assets` are read from disk when not given.
    """
    app = QuartTrio("web", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY
    app.config["MAX_FORM_PARTS"] = 32
    app.config["BODY_TIMEOUT"] = 10  # seconds for a form to arrive
    app.extensions["control"] = control
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    assets = assets or Assets()
    app.jinja_env.globals.update(asset=assets.url, missing_libraries=assets.missing)
    guard.install(app, secret, allowed_hosts)
    metrics.install(app, control)
    wording.install(app)
    for blueprint in (
        runs.blueprint,
        actors.blueprint,
        reports.blueprint,
        blocks.blueprint,
        campaigns.blueprint,
        channel.blueprint,
        search.blueprint,
        live.blueprint,
        assets.blueprint(),
    ):
        app.register_blueprint(blueprint)
    _explain_errors(app)
    return app


def _explain_errors(app: QuartTrio) -> None:
    """Each error becomes a page (or JSON) that says whose fault it is and the way out."""

    async def problem(status: int, reason: str, detail: str) -> Response:
        if has_websocket_context():
            return Response(f"{reason}: {detail}\n", status, mimetype="text/plain")  # nobody sees it but a debugger
        if request.args.get("format") == "json":
            body = msgspec.json.encode({"error": reason, "detail": detail})
            return Response(body, status, mimetype="application/json")
        # No data of the run here: this page also goes to those whom the guard turned away.
        html = await render_template("problem.html", status=status, reason=reason, detail=detail)
        return Response(html, status, mimetype="text/html")

    @app.errorhandler(UnknownActorError)
    async def unknown_actor(_: UnknownActorError) -> Response:
        return await problem(404, "unknown_actor", "No actor of that id lives in this process.")

    @app.errorhandler(UnknownRecordError)
    async def unknown_record(_: UnknownRecordError) -> Response:
        return await problem(404, "unknown_record", "This actor's ledger has no such block or report, or not yet.")

    @app.errorhandler(LedgerUnavailableError)
    async def unavailable(_: LedgerUnavailableError) -> Response:
        return await problem(503, "ledger_unavailable", "This actor's ledger node does not answer. Try again soon.")

    @app.errorhandler(CommandRefusedError)
    async def refused(error: CommandRefusedError) -> Response:
        return await problem(409, error.reason, error.detail)

    @app.errorhandler(BadInputError)
    async def bad_input(error: BadInputError) -> Response:
        return await problem(422, "bad_input", str(error))

    @app.errorhandler(HTTPException)
    async def http(error: HTTPException) -> Response:
        status = error.code or 500
        if error.response is not None:  # a redirect to the right spelling of a path
            return Response(b"", status, headers=dict(error.response.headers))
        reason = error.name.lower().replace(" ", "_")
        detail = "Nothing lives at this address." if status == 404 and not _own_text(error) else error.description
        return await problem(status, reason, detail or error.name)

    @app.errorhandler(Exception)
    async def bug(error: Exception) -> Response:
        path = websocket.path if has_websocket_context() else request.path
        log.error("a page failed: %s", path, exc_info=error)
        return await problem(500, "internal_error", "This page has a bug; the log has its trace. The run goes on.")


def _own_text(error: HTTPException) -> bool:
    return error.description != type(error).description
