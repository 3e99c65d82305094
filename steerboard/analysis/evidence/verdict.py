"""One word for an evidence run, and the sentences that carry it.

The rule, from the worst down: *harmful* where the net over the set is below zero beyond chance, by
Tango's interval and by the exact test;
*costly* where it helps (or cannot be told) but breaks more than ``TOLERANCE`` of the right pictures
beyond chance; *no better than controls* where a control of the same size fixes as much;
*inconclusive* where the net could be zero; else *helpful*.
"""

from collections.abc import Sequence

from steerboard.spec.evidence import Control, Effect, Share, Verdict

TOLERANCE = 0.02
LEVEL = 0.05


def judge(
    overall: Effect, failing: Share, right: Share, controls: Sequence[Control]
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict with its reasons; ``failing`` is the share fixed, ``right`` the share broken."""
    low, high = overall.tango
    strongest = max(controls, key=lambda c: c.fix_rate.value, default=None)
    reasons = [
        f"{count(overall.fixes, 'fix', 'fixes')} and {count(overall.breaks, 'break', 'breaks')} in"
        f" {count(overall.n, 'picture', 'pictures')}: net"
        f" {overall.net:+.1f} per 1,000 [{low:+.1f}, {high:+.1f}], p = {overall.p:.2g}",
        f"{percent(failing)} of the failing pictures are fixed",
        f"{percent(right)} of the right pictures outside the failure group are broken",
    ]
    if strongest is not None:
        reasons.append(
            f"the strongest control of the same size ({strongest.name}) fixes"
            f" {percent(strongest.fix_rate)}"
        )
    if high < 0 and overall.p < LEVEL:
        return "harmful", (*reasons, "it breaks more than it fixes, beyond chance")
    if right.low > TOLERANCE:
        return "costly", (*reasons, f"it breaks more than {100 * TOLERANCE:.0f} %, beyond chance")
    if strongest is not None and failing.hits and strongest.fix_rate.high >= failing.low:
        return "no better than controls", (*reasons, "the two intervals meet")
    if low <= 0:
        return "inconclusive", (*reasons, "the net could be zero: use more pictures")
    return "helpful", tuple(reasons)


def percent(found: Share) -> str:
    """Such as ``71 % [60, 80] of 92``."""
    ends = f"[{100 * found.low:.0f}, {100 * found.high:.0f}]"
    return f"{100 * found.value:.0f} % {ends} of {found.n}"


def count(number: int, one: str, more: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else more}"
