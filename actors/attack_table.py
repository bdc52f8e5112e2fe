"""The table of all attacks: those on the overlay, the chain, votes, campaigns and the ordered ledger, by what they threaten.

A row is one attack on one ledger under one defence, on or off. Of a case, `success_rate` is the share of all attempts of all seeds
that reached the goal, with Wilson's interval; attempts of one trial share a population, so the interval is a little narrow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from actors.attack_report import ATTACKS, run_attacks, wilson
from actors.attack_report import table as overlay_table
from actors.attacks.campaign.catalogue import CAMPAIGN_CASES, CAMPAIGN_THREATS
from actors.attacks.case import FULL, QUICK, Case, Measured, by_name
from actors.attacks.chain.catalogue import CHAIN_CASES
from actors.attacks.ordered.catalogue import ORDERED_CASES
from actors.attacks.votes.catalogue import VOTE_CASES
from actors.clock import Stopwatch
from chain.genesis import LedgerKind

CASES = by_name((*CHAIN_CASES, *VOTE_CASES, *CAMPAIGN_CASES, *ORDERED_CASES))
FAMILIES = ("overlay", "chain", "votes", "campaign", "ordered")
OVERLAY_NAMES = (*ATTACKS, "overlay", "all")
NAMES = (*ATTACKS, *CASES, *FAMILIES, "all")
"""What `run` takes."""
Ledgers = LedgerKind | Literal["both"]

THREATS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("malicious requester: repeated submission", ("repeat",)),
    ("malicious requester: altering a report on its way", ("altered",)),
    ("malicious requester: claiming another's report", ("stolen", "stolen-at-gateway")),
    ("malicious requester: wrong incentive policy", ("wrong-incentive",)),
    ("malicious requester: false report with hired voters", ("hired-voters", "cheating-assigner", "lying-assigner")),
    ("malicious requester: skipping confirmation", ("skip-confirmation",)),
    ("malicious worker: voting twice", ("double-vote",)),
    ("malicious worker: colluding ring", ("ring-6", "ring-9")),
    ("malicious worker: voting from afar (location spoofing)", ("afar", "afar-lying")),
    ("malicious worker: stalking identities", ("stalking",)),
    ("malicious worker: voting without looking", ("careless",)),
    ("malicious worker: rejecting to resubmit as one's own", ("reject-to-resubmit", "reject-ring-9")),
    ("malicious worker: copying others' votes", ("vote-copying",)),
    (
        "malicious miner: fork chains, selfish mining",
        ("selfish-20", "selfish-33", "selfish-40", "selfish-45", "selfish-40-sybils"),
    ),
    (
        "malicious miner: majority hash power",
        (
            *("double-spend-30", "double-spend-51", "double-spend-60", "newcomers-30", "newcomers-51"),
            *("finality-split-30", "finality-split-51"),
        ),
    ),
    ("malicious miner: quota evasion by sybils", ("quota-one-key", "quota-sybils")),
    (
        "malicious miner: time-jacking",
        ("time-jacking-ahead", "time-jacking-ahead-10", "time-jacking-behind", "late-miner", "late-miner-10"),
    ),
    ("newbies: wrong type", ("wrong-type",)),
    ("newbies: duplicate", ("repeat",)),
    ("newbies: careless votes", ("careless",)),
    ("network: transaction malleability", ("malleability",)),
    ("network: race attack", ("race-payment", "race-report")),
    ("network: DDoS", ("flood-one-account", "flood-sybils", "spam", "ihave-spam", "iwant-spam", "graft-flood")),
    ("network: sybil", ("sybil", "cold-boot", "covert-flash")),
    ("network: eclipse", ("eclipse", "eclipse-region", "poisoned-boot")),
    *CAMPAIGN_THREATS,
    ("consortium: lying endorser", ("lying-endorser", "colluding-endorsers", "colluding-majority")),
    ("consortium: refusing or slow endorser", ("refusing-endorser", "silent-endorser")),
    ("consortium: lying orderer", ("reordered-blocks", "altered-blocks", "forked-blocks")),
    ("consortium: withholding orderer", ("withheld-blocks", "censored-client")),
    ("consortium: altered store", ("altered-store",)),
    ("consortium: expired or revoked certificate", ("stale-endorser", "stale-orderer", "stale-client")),
    ("consortium: client outside the policy", ("outsider",)),
)
"""The list at the end of spec/spatial.md, then what campaigns and a consortium have to fear, and which attacks stand for each."""


@dataclass
class Runs:
    """The rows so far. `interrupted` when somebody did not want to wait for the rest."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    """For a terminal: one of the overlay's rows, one of the others."""
    interrupted: bool = False

    def report(self) -> dict[str, Any]:
        """Return what `attack --report` writes."""
        ran = {each["attack"] for each in self.rows}
        threats = {threat: [name for name in names if name in ran] for threat, names in THREATS}
        return {"rows": self.rows, "threats": threats, "interrupted": self.interrupted}

    def table(self) -> str:
        """Lay the rows out for a terminal."""
        return "\n\n".join(self.tables)


def run(
    name: str,
    defence: str,
    seeds: int,
    *,
    ledger: Ledgers | None = None,
    full: bool = False,
    tell: Callable[[str], object] | None = None,
    keep: Callable[[Runs], object] | None = None,
    **overlay: Any,
) -> Runs:
    """Run one attack, a family, or "all", with a defence, or "both", on and off. Ends early on Ctrl-C, rows kept.

    `tell` gets a line before each trial, `keep` all rows after each one; `overlay` are further arguments of `run_attacks`.
    `ledger` chooses those that run on it, and has them do so; those on the overlay have none and run with any. None: each on
    the first that it runs on. Raises KeyError for an unknown name.
    """
    if name not in NAMES:
        raise KeyError(name)
    runs, chosen = Runs(), cases_on(name, ledger)
    if name in OVERLAY_NAMES:
        each = (lambda so_far: keep(Runs(so_far.rows))) if keep else None
        which = name if name in ATTACKS else "all"
        ran = run_attacks(which, defence, seeds, full=full, tell=tell, keep=each, **overlay)
        runs.rows += ran.rows
        runs.tables.append(overlay_table(ran))
        runs.interrupted = ran.interrupted
        if keep:
            keep(runs)
    if chosen and not runs.interrupted:
        earlier = len(runs.rows)
        run_cases(runs, chosen, defence, seeds, ledger=ledger, full=full, tell=tell, keep=keep)
        runs.tables.append(table(runs.rows[earlier:]))
    return runs


def cases_on(name: str, ledger: Ledgers | None) -> list[Case]:
    """What `name` stands for but the overlay's, as far as it runs on the ledger."""
    return [case for case in CASES.values() if name in (case.name, case.family, "all") and on_ledgers(case, ledger)]


def on_ledgers(case: Case, ledger: Ledgers | None) -> Sequence[LedgerKind]:
    """The ledgers that it is to run on."""
    kinds: list[LedgerKind] = list(case.trials)
    if ledger is None:
        return kinds[:1]
    return kinds if ledger == "both" else [kind for kind in kinds if kind == ledger]


def run_cases(
    runs: Runs,
    cases: Sequence[Case],
    defence: str,
    seeds: int,
    *,
    ledger: Ledgers | None = None,
    full: bool = False,
    tell: Callable[[str], object] | None = None,
    keep: Callable[[Runs], object] | None = None,
) -> None:
    """Run attacks on ledgers and votes, and add their rows.

    `defence` is on, off or both; what else the overlay knows of counts as on.
    """
    defences = ["off", "on"] if defence == "both" else ["off" if defence == "off" else "on"]
    try:
        trials = [(case, kind, each) for case in cases for kind in on_ledgers(case, ledger) for each in defences]
        for case, kind, each in trials:
            measured: list[Measured] = []
            watch = Stopwatch()
            for seed in range(1, seeds + 1):
                if tell:
                    tell(f"{case.name} on {kind}, defence {each}, seed {seed} of {seeds}")
                measured.append(case.trials[kind](each == "on", seed, FULL if full else QUICK))
            runs.rows.append(row(case, kind, each, measured, watch.wall_s))
            if keep:
                keep(runs)
    except* KeyboardInterrupt:  # alone, or in the groups of the nurseries that it went through
        runs.interrupted = True


def row(case: Case, ledger: LedgerKind, defence: str, measured: Sequence[Measured], wall_s: float) -> dict[str, Any]:
    """Make the row of one attack on one ledger under one defence. Null is an interval of nothing tried, and where there is no theory."""
    wins, tries = sum(each.wins for each in measured), sum(each.tries for each in measured)
    share = wins / tries if tries else 0.0
    names = list(measured[0].figures)
    return {
        "attack": case.name,
        "ledger": ledger,
        "family": case.family,
        "defence": defence,
        "success_rate": share,
        "ci95": wilson(wins, tries) if tries else None,
        "seeds": len(measured),
        "wins": wins,
        "tries": tries,
        "predicted": case.predicted[defence == "on"],
        "goal": case.goal,
        "harm": share,
        "limit": case.limit,
        "succeeds": share > case.limit,
        "budget": case.budget,
        "defence_is": case.defence,
        "source": case.source,
        "why_it_stands": case.stands if defence == "on" else case.harmless and f"harmless: {case.harmless}",
        "figures": {name: sum(each.figures[name] for each in measured) / len(measured) for name in names},
        "wall_s": wall_s,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line an attack and ledger: without the defence and with it."""
    by_attack: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for each in rows:
        by_attack.setdefault((each["attack"], each["ledger"]), {})[each["defence"]] = each
    lines = [f"{'attack':25} {'ledger':7} {'won without':26} {'won with':26} {'theory':>7}  seeds  defence"]
    for (name, ledger), pair in by_attack.items():
        some = pair.get("on") or pair["off"]
        theory = "" if some["predicted"] is None else f"{some['predicted']:.0%}"
        without, with_ = (_won(pair.get(defence)) for defence in ("off", "on"))
        lines.append(
            f"{name:25} {ledger:7} {without:26} {with_:26} {theory:>7} {some['seeds']:6}  {some['defence_is']}"
        )
    lines.append(
        "won: attempts of all seeds that reached the goal, [95 % interval], of how many. ! above the attack's limit."
    )
    lines += ["Measured besides, without and with:", *(line for pair in by_attack.values() for line in _figures(pair))]
    stands = [each for each in rows if each["defence"] == "on" and each["succeeds"]]
    if stands:
        lines.append("The defence does not stop:")
        lines += [f"  {each['attack']:25} {each['ledger']:7} {each['why_it_stands']}" for each in stands]
    return "\n".join(lines)


def _figures(pair: dict[str, dict[str, Any]]) -> list[str]:
    some = pair.get("on") or pair["off"]
    told = [
        f"{name} " + " → ".join(f"{pair[each]['figures'][name]:.2f}" for each in ("off", "on") if each in pair)
        for name in some["figures"]
    ]
    return [f"  {some['attack']:25} {some['ledger']:7} {'; '.join(told)}"] if told else []


def _won(each: dict[str, Any] | None) -> str:
    if each is None or each["ci95"] is None:
        return "–"
    low, high = each["ci95"]
    mark = "!" if each["succeeds"] else " "
    return f"{each['success_rate']:5.0%}{mark}[{low:4.0%}, {high:4.0%}] of {each['tries']}"
