"""How values read: times, money, identifiers and states, as filters and constants of the templates."""

from datetime import UTC, datetime

from quart import Quart

STATES = {
    "pending": ("Pending", "Sent, not yet given to workers"),
    "assigned": ("Assigned", "Workers are asked to check it"),
    "confirmed": ("Confirmed", "Workers found it true"),
    "rejected": ("Rejected", "Workers found it untrue"),
    "expired": ("Expired", "Too few workers voted in time"),
    "in_review": ("In review", "The facility in charge looks at it"),
    "closed": ("Closed", "The facility has dealt with it"),
}
"""Status of a report → (label, what it means); the order of the legend."""

ON_THE_WAY = {
    "waiting": ("Sent", "It waits for a block"),
    "refused": ("Refused", "The ledger did not take it"),
}
"""The same for one just submitted that is not on the ledger; in no list, hence in no legend."""

AUDITS = {
    "honest": "The draw is honest",
    "dishonest": "The draw is not honest",
    "unopened": "The group was never shown",
    "open": "The group is still hidden",
    "unassigned": "Nobody was drawn",
}
"""What an audit of a draw came to."""

MICRO = 1_000_000


def state_label(status: str) -> str:
    words = STATES.get(status) or ON_THE_WAY.get(status)
    return words[0] if words else status.replace("_", " ").capitalize()


def state_meaning(status: str) -> str:
    words = STATES.get(status) or ON_THE_WAY.get(status)
    return words[1] if words else ""


def clock(ms: int | None) -> str:
    """UTC of the run's clock, to the second."""
    if ms is None:
        return "–"
    return _moment(ms, "%Y-%m-%d %H:%M:%S")


def iso(ms: int) -> str:
    """For ``<time datetime>``."""
    return _moment(ms, "%Y-%m-%dT%H:%M:%SZ")


def _moment(ms: int, format_: str) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime(format_)
    except (OverflowError, ValueError, OSError):  # a hostile clock must not break the page
        return f"{ms} ms"


def ago(ms: int | None, now_ms: int) -> str:
    """How long before (or after) the run's now."""
    if ms is None:
        return "–"
    distance = abs(now_ms - ms) // 1000
    if distance < 1:
        return "just now"
    text = span(distance * 1000)
    return f"{text} ago" if ms <= now_ms else f"in {text}"


def span(ms: int) -> str:
    """A length of time in its largest unit."""
    seconds = ms // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def credits_(micro: int) -> str:
    """Micro-credits as credits, to the hundredth; smaller sums exactly, and nothing as 0."""
    if abs(micro) < MICRO // 200:
        return exact_credits(micro)
    sign = "−" if micro < 0 else ""
    whole, part = divmod((abs(micro) + MICRO // 200) // (MICRO // 100), 100)
    return f"{sign}{grouped(whole)}.{part:02d}"


def exact_credits(micro: int) -> str:
    """Micro-credits as credits, to the last digit, without needless zeros."""
    sign = "−" if micro < 0 else ""
    whole, part = divmod(abs(micro), MICRO)
    decimals = f"{part:06d}".rstrip("0")
    return f"{sign}{grouped(whole)}" + (f".{decimals}" if decimals else "")


def short(identifier: str | None, keep: int = 6) -> str:
    """The two ends of a long identifier; the whole of a short one."""
    if not identifier:
        return "–"
    if len(identifier) <= 2 * keep + 2:
        return identifier
    return f"{identifier[:keep]}…{identifier[-keep:]}"


def degrees(value: float | None) -> str:
    """Five decimals: about a metre."""
    return "–" if value is None else f"{value:.5f}"


def metres(value: float) -> str:
    return f"{value / 1000:.1f} km" if value >= 1000 else f"{value:.0f} m"


def grouped(number: int) -> str:
    """Thin spaces between thousands."""
    return f"{number:,}".replace(",", " ")


def label(name: str) -> str:
    """An argument's or event field's name, without the unit that `readable` writes out."""
    return name.removesuffix("_e7").removesuffix("_ms")


def readable(text: str, name: str) -> str:
    """An argument or event field for people: its unit is told by its name."""
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        return text
    if name.endswith("_e7"):
        return f"{int(text) / 1e7:.7f}°"
    if name.endswith("_ms"):
        return f"{clock(int(text))} UTC"
    if name == "amount" or name.endswith(("_reward", "_rewards")):
        return f"{credits_(int(text))} credits"
    return text


def install(app: Quart) -> None:
    """Give the templates these words."""
    app.jinja_env.filters.update(
        ago=ago,
        clock=clock,
        credits=credits_,
        degrees=degrees,
        exact_credits=exact_credits,
        grouped=grouped,
        iso=iso,
        label=label,
        metres=metres,
        readable=readable,
        short=short,
        span=span,
        state_label=state_label,
        state_meaning=state_meaning,
    )
    app.jinja_env.globals["STATES"] = STATES
    app.jinja_env.globals["AUDITS"] = AUDITS
