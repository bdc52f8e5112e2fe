"""A run's progress in the terminal: one line that is rewritten, or a line now and then where nobody watches."""

from collections.abc import Mapping
from typing import Any, TextIO

from actors.run import RunPlan
from actors.standing import Standing, standing
from actors.swarm import Swarm
from actors.views import shown_status

QUIET_EVERY_S = 10
MAX_ROWS_LISTED = 20
JOIN = "join     python launch.py node --role {} --data DIR --bootstrap {}"
JOINING = {"pow": "miner", "ordered": "endorser"}
"""What may come along to each kind of ledger."""


class Terminal:
    """Writes to `out`; rewrites its line where that is a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty()
        self._last_s = 0
        self._shown = ""
        self._poor = ""
        self._joining = JOINING["pow"]

    def say(self, text: str) -> None:
        """One line of its own."""
        self._erase()
        self._out.write(text + "\n")
        self._out.flush()

    def introduce(self, plan: RunPlan) -> None:
        """What will run, before it does."""
        scenario = plan.scenario
        self._joining = JOINING[scenario.ledger.kind]
        self.say(
            f"{plan.kind} {scenario.name}: {scenario.actors} actors, seed {scenario.seed}, {scenario.ledger.kind} ledger, "
            f"network {scenario.network.kind}"
        )
        reports = plan.reports
        if reports is None:
            return
        self.say(f"reports  {len(reports.reports)} rows in {reports.place.name}, {len(reports.refused)} refused")
        for row in reports.refused[:MAX_ROWS_LISTED]:
            self.say(f"         line {row.line}: {row.reason}")
        if len(reports.refused) > MAX_ROWS_LISTED:
            self.say(f"         … and {len(reports.refused) - MAX_ROWS_LISTED} more; --report lists them all")

    def open_at(self, door: str) -> None:
        """How others join, at an address with its peer id."""
        self.say(JOIN.format(self._joining, door))

    def progress(self, swarm: Swarm) -> None:
        """Where the run is now."""
        self.show(standing(swarm))

    def show(self, now: Standing) -> None:
        """Where a run in one or several processes is now."""
        if now.poor and now.poor != self._poor:
            self._poor = now.poor
            self.say(f"campaign {now.poor}")
        elapsed = now.elapsed_ms // 1000
        counts = ", ".join(f"{number} {shown_status(status)}" for status, number in now.statuses if number)
        line = f"{elapsed // 60:02d}:{elapsed % 60:02d}  {now.running}/{now.actors} up  "
        if now.replicas:
            line += f"block {now.height} (final {now.final_height})"
            if counts or not now.campaigns:
                line += f"  reports: {counts or 'none yet'}"
            if now.campaigns:
                line += f"  campaign: {now.campaigns}"
        else:  # phones alone: what they did is all there is to tell
            line += ", ".join(f"{number} {name}" for name, number in now.activity.items()) or "nothing done yet"
        if now.errors:
            line += f"  errors: {now.errors}"
        if self._live:
            self._erase()
            self._out.write(line[:160])
            self._out.flush()
            self._shown = line[:160]
        elif elapsed >= self._last_s + QUIET_EVERY_S:
            self._last_s = elapsed
            self.say(line)

    def summary(self, report: Mapping[str, Any]) -> None:
        """What came of the run."""
        self._erase()
        reports, chain, gossip = report["reports"], report["chain"], report["gossip"]
        agree = "agree" if report["replicas_agree"] else "DISAGREE"
        conserved = "conserved" if report["supply_conserved"] else "NOT CONSERVED"
        rows = [
            ("reports", _counts(reports)),
            *[("campaign", _cycle(cycle)) for cycle in report.get("campaigns", {"cycles": ()})["cycles"]],
            ("rewards", ", ".join(f"{role} {amount / 1e6:,.2f}" for role, amount in report["rewards"].items())),
            (
                "chain",
                f"{chain['ledger']}, height {chain['height']}, final {chain['final_height']}, head {chain['head'][:16]}",
            ),
            *([("codes", _counts(chain["codes"]))] if "codes" in chain else []),
            ("replicas", f"{report['replicas']}, {agree}; supply {conserved}"),
            ("gossip", _counts(gossip)),
            ("time", f"{report['virtual_s']} s of the run, {report['wall_s']} s, {report['cpu_s']} s of CPU"),
            ("journal", f"{report['journal_records']} records, sha256 {report['journal_sha256']}"),
        ]
        for name, text in rows:
            self.say(f"{name:9}{text}")
        for error in report["errors"]:
            self.say(f"error    {error}")

    def _erase(self) -> None:
        if self._shown:
            self._out.write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""


def _counts(numbers: Mapping[str, Any]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in numbers.items()) or "none"


def _cycle(cycle: Mapping[str, Any]) -> str:
    """One cycle of a campaign in a line."""
    phase = "void" if cycle["void"] else cycle["phase"]
    numbers = {name: cycle[name] for name in ("tasks", "bids", "selected", "submitted", "rewards", "disputed")}
    return f"{cycle['campaign'][:8]} cycle {cycle['cycle'] + 1}, {phase}: {_counts(numbers)}"


def voice(terminal: Terminal | None) -> dict[str, Any]:
    """What a `RunPlan` does to tell of its progress."""
    if terminal is None:
        return {}

    def start(swarm: Swarm) -> None:
        for door in doors(swarm)[:1]:
            terminal.open_at(door)

    return {
        "on_start": start,
        "on_progress": terminal.progress,
        "on_error": lambda text: terminal.say(f"error    {text}"),
    }


def parents_voice(terminal: Terminal | None) -> dict[str, Any]:
    """What `actors.processes.Processes` do to tell of theirs."""
    if terminal is None:
        return {}
    return {
        "on_page": lambda name, url: terminal.say(f"web      {url}  ({name})"),
        "on_open": terminal.open_at,
        "on_standing": terminal.show,
    }


def doors(swarm: Swarm) -> list[str]:
    """Addresses at which other processes can join, each with its peer id."""
    return [
        f"{address}/p2p/{node.identity.peer_id}"
        for node in swarm.full_nodes
        for address in node.overlay.addresses
        if not address.startswith("/memory/")
    ]
