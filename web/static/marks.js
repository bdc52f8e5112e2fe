// Report states on the canvas: a shape and a colour each, the same as in the legend.
const SIZE = 8;
const NARROW = 600;

const DRAW = {
  pending: (c, x, y, ink, paper) => {
    c.setLineDash([3, 3]);
    disc(c, x, y, 6, paper, ink, 2.5);
    c.setLineDash([]);
  },
  assigned: (c, x, y, ink, paper) => {
    disc(c, x, y, 6.5, paper, ink, 2.5);
    disc(c, x, y, 2.5, ink);
  },
  confirmed: (c, x, y, ink, paper) => {
    disc(c, x, y, 8, ink, paper, 1.5);
    tick(c, x, y, paper);
  },
  rejected: (c, x, y, ink, paper) => {
    for (const [colour, width] of [[paper, 6.5], [ink, 3.5]]) {
      path(c, [[x - 5, y - 5], [x + 5, y + 5]], null, colour, width);
      path(c, [[x + 5, y - 5], [x - 5, y + 5]], null, colour, width);
    }
  },
  expired: (c, x, y, ink, paper) => {
    path(c, [[x - 5, y - 6.5], [x + 5, y - 6.5], [x - 5, y + 6.5], [x + 5, y + 6.5], [x - 5, y - 6.5]], paper, ink, 2);
  },
  in_review: (c, x, y, ink, paper) => {
    path(c, [[x, y - 9], [x + 9, y], [x, y + 9], [x - 9, y], [x, y - 9]], ink, paper, 1.5);
    disc(c, x, y, 2.5, paper);
  },
  closed: (c, x, y, ink, paper) => {
    path(c, [[x - 7, y - 7], [x + 7, y - 7], [x + 7, y + 7], [x - 7, y + 7], [x - 7, y - 7]], ink, paper, 1.5);
    tick(c, x, y, paper);
  },
  "task-wanted": (c, x, y, ink, paper, options) => task(c, x, y, ink, options, () => disc(c, x, y, 11, paper, ink, 2.5)),
  "task-covered": (c, x, y, ink, paper, options) => task(c, x, y, paper, options, () => disc(c, x, y, 11, ink, paper, 1.5)),
  "task-short": (c, x, y, ink, paper, options) =>
    task(c, x, y, ink, options, () => path(c, [[x, y - 14], [x + 14, y], [x, y + 14], [x - 14, y], [x, y - 14]], paper, ink, 2.5)),
  here: (c, x, y, ink, paper) => {
    c.globalAlpha = 0.25;
    disc(c, x, y, 14, ink);
    c.globalAlpha = 1;
    disc(c, x, y, 6, ink, paper, 2);
  },
  chosen: (c, x, y, ink, paper) => {
    for (const [colour, width] of [[paper, 5], [ink, 2.5]]) {
      ring(c, x, y, 9, colour, width);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        path(c, [[x + 6 * dx, y + 6 * dy], [x + 15 * dx, y + 15 * dy]], null, colour, width);
      }
    }
  },
};

// A task: its shape, its number on it, and below what is paid for how many samples.
function task(c, x, y, ink, { text = "", below = "" }, shape) {
  shape();
  const style = getComputedStyle(document.documentElement);
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.fillStyle = ink;
  c.font = "600 11px sans-serif";
  c.fillText(text, x, y + 0.5);
  if (c.canvas.clientWidth < NARROW) return; // there they would lie upon each other
  c.font = "11px sans-serif";
  c.lineWidth = 3;
  c.lineJoin = "round";
  c.strokeStyle = style.getPropertyValue("--map-ground").trim();
  c.strokeText(below, x, y + 22);
  c.fillStyle = style.getPropertyValue("--ink").trim();
  c.fillText(below, x, y + 22);
}

function disc(c, x, y, r, fill, stroke, width) {
  c.beginPath();
  c.arc(x, y, r, 0, 2 * Math.PI);
  c.fillStyle = fill;
  c.fill();
  if (stroke) line(c, stroke, width);
}

function ring(c, x, y, r, stroke, width) {
  c.beginPath();
  c.arc(x, y, r, 0, 2 * Math.PI);
  line(c, stroke, width);
}

function path(c, points, fill, stroke, width) {
  c.beginPath();
  points.forEach(([x, y], index) => (index ? c.lineTo(x, y) : c.moveTo(x, y)));
  if (fill) {
    c.fillStyle = fill;
    c.fill();
  }
  line(c, stroke, width);
}

function tick(c, x, y, ink) {
  path(c, [[x - 3.6, y + 0.2], [x - 1, y + 2.8], [x + 3.8, y - 2.6]], null, ink, 2);
}

function line(c, stroke, width) {
  c.strokeStyle = stroke;
  c.lineWidth = width;
  c.lineCap = c.lineJoin = "round";
  c.stroke();
}

let Shape;

/** A marker of a state (or `here`, `chosen`) on Leaflet's canvas. Colours are read when drawn: the theme may change. */
export function shapeMarker(place, state, words = {}) {
  Shape ??= window.L.CircleMarker.extend({
    _updateBounds() {
      window.L.CircleMarker.prototype._updateBounds.call(this);
      // What changes beside a mark is drawn anew within its bounds alone: its words must be within them.
      if (this.options.below) this._pxBounds.extend(this._point.add([40, 32])).extend(this._point.subtract([40, 0]));
    },
    _updatePath() {
      const context = this._renderer._ctx;
      if (!this._renderer._drawing || this._empty()) return;
      const style = getComputedStyle(document.documentElement);
      const name = DRAW[this.options.state] ? this.options.state : "pending";
      const { x, y } = this._point;
      context.setLineDash([]); // a path before may have left its dashes
      DRAW[name](context, x, y, style.getPropertyValue(`--state-${name}`).trim(), style.getPropertyValue("--surface").trim(), this.options);
    },
  });
  // The radius is what a pointer can hit: larger than what is drawn.
  const radius = SIZE + 6;
  return new Shape(place, { ...words, state: DRAW[state] ? state : "pending", radius, interactive: state !== "chosen", weight: 0 });
}
