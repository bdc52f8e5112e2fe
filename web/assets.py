"""Scripts, styles and browser libraries: read once, gzipped in memory, cached by browsers for good.

All files share one content hash in their path, so that ES modules import each other by relative names and a new
version of any file gives all of them new addresses.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from quart import Blueprint, Response, abort, request

HERE = Path(__file__).parent

LIBRARIES = {
    "lib/leaflet.js": "leaflet/dist/leaflet.js",
    "lib/leaflet.css": "leaflet/dist/leaflet.css",
    "lib/topojson.js": "topojson-client/dist/topojson-client.min.js",
    "lib/land.json": "world-atlas/land-50m.json",
}
"""Path under which a browser gets it → path below node_modules."""

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it goes to a browser."""

    mimetype: str
    plain: bytes
    gzipped: bytes


class Assets:
    """Everything below ``/static/<digest>/``."""

    def __init__(self, own: Path = HERE / "static", modules: Path = HERE / "node_modules") -> None:
        sources = {path.relative_to(own).as_posix(): path for path in sorted(own.rglob("*")) if path.suffix in TYPES}
        sources |= {name: modules / path for name, path in LIBRARIES.items() if (modules / path).is_file()}
        self.missing = tuple(name for name in LIBRARIES if name not in sources)
        """Libraries that are not installed."""
        self._files: dict[str, Asset] = {}
        digest = hashlib.sha256()
        for name, path in sorted(sources.items()):
            body = path.read_bytes()
            digest.update(name.encode() + b"\0" + hashlib.sha256(body).digest())
            self._files[name] = Asset(TYPES[path.suffix], body, gzip.compress(body, 6, mtime=0))
        self.digest = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """The address of a file. Raises KeyError for one that is neither ours nor installed."""
        self._files[name]
        return f"/static/{self.digest}/{name}"

    def blueprint(self) -> Blueprint:
        """The route that serves them."""
        blueprint = Blueprint("assets", __name__)

        @blueprint.get("/static/<digest>/<path:name>")
        async def asset(digest: str, name: str) -> Response:
            file = self._files.get(name) if digest == self.digest else None
            if file is None:
                abort(404, "There is no such file in this version. Reload the page.")
            zipped = "gzip" in request.headers.get("Accept-Encoding", "")
            response = Response(file.gzipped if zipped else file.plain, content_type=file.mimetype)
            if zipped:
                response.headers["Content-Encoding"] = "gzip"
            response.headers["Vary"] = "Accept-Encoding"
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
            return response

        return blueprint
