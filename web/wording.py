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

PHASES = {
    "registration": ("Registration", "Oracles register"),
    "publishing": ("Publishing", "Requesters publish tasks"),
    "bidding": ("Bidding", "Workers bid the paths that they would walk"),
    "selection": ("Selection", "An oracle that chance drew computes which paths are taken"),
    "collection": ("Collection", "Workers walk, sense, and commit to what they found"),
    "submission": ("Submission", "Workers open their commitments and hand data over"),
    "done": ("Done", "Rewards are paid out"),
    "closed": ("Closed", "The campaign has ended for good"),
}
"""Phase of a campaign → (label, what happens in it), in order."""

STAGES = {
    "bid": ("Bid", "It waits for the selection"),
    "not_selected": ("Not selected", "Its deposit goes back"),
    "selected": ("Selected", "It has to commit to its data"),
    "committed": ("Committed", "It has to open its commitment"),
    "submitted": ("Submitted", "Its data fit its commitment"),
    "paid": ("Paid", "It has its rewards and its deposit"),
    "lost": ("Lost", "Its data did not come: its deposit goes to the requesters"),
    "void": ("Void", "The cycle came to nothing: its deposit goes back"),
}
"""Stage of a bid → (label, what that means)."""

PURSES = {"task": "Rewards", "bid": "Deposits", "oracle": "Stakes", "bond": "Bond"}
"""What money is locked for."""

OUTCOMES = {
    "held": "held",
    "rewarded": "paid to workers",
    "unspent": "back to requesters",
    "returned": "given back",
    "forfeited": "lost to requesters",
    "penalised": "paid as penalties",
    "bounty": "paid as bounties",
}
"""What became of it."""

FLOWS = {
    ("task", "locked"): "Rewards locked",
    ("task", "rewarded"): "Reward",
    ("task", "unspent"): "Not spent",
    ("bid", "locked"): "Deposit locked",
    ("bid", "returned"): "Deposit back",
    ("bid", "forfeited"): "Deposit lost",
    ("oracle", "locked"): "Stake locked",
    ("oracle", "returned"): "Stake back",
    ("oracle", "penalised"): "Penalty",
    ("bond", "locked"): "Bond locked",
    ("bond", "returned"): "Bond back",
    ("bond", "bounty"): "Bounty for moving the phase",
}
"""(purse, kind) of a flow of money → what it was."""

REFUSALS = {
    "wrong_phase": "The campaign is in another phase now.",
    "phase_over": "The time for that is over.",
    "number_taken": "Others took the task's number first. Try again.",
    "campaign_full": "The campaign has no room left.",
    "out_of_range": "That place is not on the globe.",
    "zero_reward": "A sample must be worth something.",
    "bad_samples": "So many samples cannot be wanted.",
    "time_out_of_collection": "The best time lies outside the collection.",
    "bad_interval": "The interval must be longer than nothing.",
    "insufficient_balance": "This actor does not have the money that would be locked.",
    "bid_twice": "This actor has bid in this cycle already.",
    "seat_taken": "Others took the seat first. Try again.",
    "empty_path": "A path needs a task.",
    "unknown_task": "There is no such task in this cycle.",
    "arrival_out_of_window": "The path reaches a task outside its time.",
    "too_fast": "Nobody can walk that fast here.",
    "cannot_walk": "This actor cannot walk that.",
    "not_a_worker": "This actor does not walk.",
}
"""Why the ledger or a device refuses what forms about campaigns ask for, in words; others go by their names."""

EARLIEST_MS = 1_000_000_000_000
"""What is less is a length of time, not a moment: that is in 2001, and some 30 years are longer than anything here takes."""

MICRO = 1_000_000

MONEY = frozenset({"amount", "bond", "bounty", "deposit", "penalty", "reward", "stake"})
"""Names of arguments and fields that are micro-credits."""


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


def hour(ms: int) -> str:
    """The time of day, UTC, to the second."""
    return _moment(ms, "%H:%M:%S")


def local(ms: int) -> str:
    """For ``<input type="datetime-local">``, to the second, rounded up."""
    return _moment(-(-ms // 1000) * 1000, "%Y-%m-%dT%H:%M:%S")


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
        return f"{clock(int(text))} UTC" if int(text) >= EARLIEST_MS else f"{int(text) / 1000:g} s"
    if name in MONEY or name.endswith(("_reward", "_rewards")):
        return f"{credits_(int(text))} credits"
    return text


def quality(share: float) -> str:
    """0 to 1 in per cent, rounded down: what is not perfect must not read so."""
    return f"{int(share * 100)} %"


def install(app: Quart) -> None:
    """Give the templates these words."""
    app.jinja_env.filters.update(
        ago=ago,
        clock=clock,
        credits=credits_,
        degrees=degrees,
        exact_credits=exact_credits,
        hour=hour,
        local=local,
        quality=quality,
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
    app.jinja_env.globals.update(
        STATES=STATES,
        AUDITS=AUDITS,
        PHASES=PHASES,
        STAGES=STAGES,
        PURSES=PURSES,
        OUTCOMES=OUTCOMES,
        FLOWS=FLOWS,
        REFUSALS=REFUSALS,
    )
