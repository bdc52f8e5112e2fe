"""The map of a campaign: tasks, and the paths that workers bid, as shapes of `web.chart`."""

from collections.abc import Sequence
from dataclasses import dataclass

from actors.campaign_control import CampaignView, PlanView, TaskView
from actors.control import Place
from web.chart import Chart, chart, enclosing

INKS = 8
"""Colours of paths; the ninth worker has the first one's."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A task on the map."""

    task: TaskView
    state: str
    """``"wanted"``; once paths are selected ``"covered"`` or ``"short"``."""
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Line:
    """A path on the map."""

    name: str
    """Of its worker; empty for one that is planned."""
    ink: int
    look: str
    """``"planned"``, ``"bid"``, ``"taken"`` (selected) or ``"left"`` (not selected)."""
    mine: bool
    places: Sequence[tuple[float, float]]
    """(lat, lon)."""
    points: Sequence[tuple[float, float]]
    """(x, y)."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """All of the map. Lines are in the order in which they are drawn: what matters most lies on top."""

    place: Place
    chart: Chart
    marks: Sequence[Mark]
    lines: Sequence[Line]

    def path_of(self, worker: str) -> Line | None:
        """Of who bid one."""
        return next((line for line in self.lines if line.name == worker), None)


def drawn(view: CampaignView, plan: PlanView | None, whole: Place) -> Drawing:
    """The map; of the `whole` place of the run as long as there are no tasks."""
    points = [(task.lat, task.lon) for task in view.tasks]
    if plan is not None:
        points += [plan.start, plan.destination]
    # Who publishes must be able to point anywhere.
    place = whole if view.summary.phase in ("registration", "publishing") else enclosing(points, whole)
    canvas = chart(place)
    marks = [
        Mark(task, _state(task, view), canvas.x(task.lon), canvas.y(task.lat))
        for task in view.tasks
        if canvas.shows(task.lat, task.lon)
    ]
    # Selected paths come first: as many of them as there are colours differ.
    inks = {bid.worker: place % INKS for place, bid in enumerate(bid for bid in view.bids if not bid.mine)}
    lines = []
    for bid in view.bids:
        look = {"bid": "bid", "void": "bid", "not_selected": "left"}.get(bid.stage, "taken")
        lines.append(
            _line(canvas, bid.worker, inks.get(bid.worker, 0), look, bid.mine, [(s.lat, s.lon) for s in bid.path])
        )
    if plan is not None:
        way = [plan.start, *((stop.lat, stop.lon) for stop in plan.path), plan.destination]
        lines.append(_line(canvas, "", 0, "planned", mine=True, places=way))
    order = ("left", "bid", "taken", "planned")
    return Drawing(place, canvas, marks, sorted(lines, key=lambda line: (line.mine, order.index(line.look))))


def _line(
    canvas: Chart,
    name: str,
    ink: int,
    look: str,
    mine: bool,
    places: Sequence[tuple[float, float]],
) -> Line:
    return Line(name, ink, look, mine, places, [(canvas.x(lon), canvas.y(lat)) for lat, lon in places])


def _state(task: TaskView, view: CampaignView) -> str:
    if view.result is None:
        return "wanted"
    return "covered" if task.selected >= task.samples else "short"
