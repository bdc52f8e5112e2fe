"""Runs attacks seed by seed, and makes rows of a table of what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from actors.attacks.catalogue import ATTACKS
from actors.attacks.plan import Attack, Outcome
from actors.clock import Stopwatch
from actors.overlay_trial import FULL, QUICK, Size, run_trial

__all__ = ["ATTACKS", "AttackRuns", "row", "run_attacks", "table", "wilson"]

_Z = 1.96


@dataclass
class AttackRuns:
    """The rows so far. `interrupted` when somebody did not want to wait for the rest."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False

    def report(self) -> dict[str, Any]:
        """Return what `attack --report` writes."""
        return {"rows": self.rows, "interrupted": self.interrupted}


def run_attacks(
    name: str,
    defence: str,
    seeds: int,
    *,
    full: bool = False,
    rate: float | None = None,
    data_bytes: int | None = None,
    tell: Callable[[str], object] | None = None,
    keep: Callable[[AttackRuns], object] | None = None,
) -> AttackRuns:
    """Run one attack, or "all", with a defence, or "both", on and off; ends early, with the rows so far, on Ctrl-C.

    `rate` is in honest messages per second; it and `data_bytes`, their size, stand in for those of the size.
    `tell` gets a line before each trial, `keep` all rows after each row. Raises KeyError for an unknown attack.
    """
    attacks = list(ATTACKS.values()) if name == "all" else [ATTACKS[name]]
    defences = ["off", "on"] if defence == "both" else [defence]
    size = FULL if full else QUICK
    size = replace(size, rate=rate or size.rate, data_bytes=data_bytes or size.data_bytes)
    runs, whole = AttackRuns(), Stopwatch()
    trials = len(attacks) * len(defences) * seeds
    done = 0
    try:
        for attack in attacks:
            for each in defences:
                outcomes: list[Outcome] = []
                watch = Stopwatch()
                for seed in range(1, seeds + 1):
                    if tell:
                        left = f", {whole.wall_s / done * (trials - done) / 60:.0f} min left" if done else ""
                        tell(
                            f"{attack.name}, defence {each}, seed {seed} of {seeds} ({done} of {trials} trials done{left})"
                        )
                    outcomes.append(run_trial(attack, each, size, seed))
                    done += 1
                runs.rows.append(row(attack, each, size, outcomes, watch.wall_s))
                if keep:
                    keep(runs)
    except* KeyboardInterrupt:  # alone, or in the groups of the nurseries that it went through
        runs.interrupted = True
    return runs


def row(attack: Attack, defence: str, size: Size, outcomes: Sequence[Outcome], wall_s: float) -> dict[str, Any]:
    """Make the row of one attack under one defence: the worst of all seeds, but for shares, which are means.

    Null stands for a latency when nothing was delivered, and for meshes that did not recover in some seed.
    """
    harms = [attack.harm(outcome) for outcome in outcomes]
    wins = sum(harm > attack.limit for harm in harms)
    delivered = all(outcome.pairs > outcome.undelivered for outcome in outcomes)
    return {
        "attack": attack.name,
        "ledger": None,
        "defence": defence,
        "success_rate": wins / len(outcomes),
        "ci95": wilson(wins, len(outcomes)),
        "seeds": len(outcomes),
        "goal": attack.goal,
        "harm": sum(harms) / len(harms),
        "limit": attack.limit,
        "honest": size.honest,
        "attackers": size.attackers,
        "rate": size.rate,
        "data_bytes": size.data_bytes,
        "attacker_links": max(outcome.attacker_links for outcome in outcomes),
        "pairs": sum(outcome.pairs for outcome in outcomes),
        "undelivered": sum(outcome.undelivered for outcome in outcomes),
        "late": sum(outcome.late for outcome in outcomes),
        "p99_ms": 1000 * max(outcome.p99_s for outcome in outcomes) if delivered else None,
        "max_ms": 1000 * max(outcome.max_s for outcome in outcomes) if delivered else None,
        "mesh_recovered_s": _last([outcome.recovered_s for outcome in outcomes]),
        "mesh_clean_s": _last([outcome.clean_s for outcome in outcomes]),
        "mesh_share_peak": max(outcome.mesh_share_peak for outcome in outcomes),
        "mesh_share_later": max(outcome.mesh_share_later for outcome in outcomes),
        "mesh_share_end": max(outcome.mesh_share_end for outcome in outcomes),
        "frames_heeded": sum(outcome.waste.heeded for outcome in outcomes) / len(outcomes),
        "honest_score_min": min(outcome.honest_score_min for outcome in outcomes),
        "wall_s": wall_s,
    }


def _last(moments: Sequence[float | None]) -> float | None:
    """Return the latest; None if it did not come to that in some seed."""
    known = [moment for moment in moments if moment is not None]
    return max(known) if len(known) == len(moments) else None


def wilson(wins: int, trials: int) -> list[float]:
    """Return the 95 % score interval of a share (Wilson 1927), which is right for few trials too."""
    share, spread = wins / trials, _Z * _Z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * (share * (1 - share) / trials + spread / (4 * trials)) ** 0.5
    return [max(0.0, centre - half), min(1.0, centre + half)]


_HEADER = "attack          defence   won     harm   limit   lost   late    pairs  p99 ms  max ms   peak  later    end   recovered  clean"


def table(runs: AttackRuns) -> str:
    """Lay the rows out for a terminal."""
    lines = [_HEADER, *(_line(each) for each in runs.rows)]
    lines.append(
        "won: share of seeds in which harm exceeded the limit. lost, late (> 1.6 s): of pairs (message, peer)."
    )
    lines.append(
        "peak, later, end: share of places in honest meshes held by attackers; later: the most since recovery."
    )
    lines.append(
        "recovered: s after the attack began; attackers held < 1 % for 5 s and never 1/3 again, and from then on each honest"
        " peer had D_lo honest members, or half its honest links. clean: from then on no attacker in any mesh."
    )
    return "\n".join(lines)


def _line(each: dict[str, Any]) -> str:
    held = f"{each['mesh_share_peak']:4.0%} {each['mesh_share_later']:6.1%} {each['mesh_share_end']:6.2%}"
    times = f"{_or_dash(each['p99_ms']):>7} {_or_dash(each['max_ms']):>7}"
    return (
        f"{each['attack']:15} {each['defence']:8} {each['success_rate']:4.0%} {each['harm']:8.4f} {each['limit']:7.2f}"
        f" {each['undelivered']:6} {each['late']:6} {each['pairs']:8} {times}  {held}  {_or_dash(each['mesh_recovered_s']):>11} {_or_dash(each['mesh_clean_s']):>6}"
    )


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
