"""Do campaigns of equal priority share their account's pace evenly, is a small one served beside a large one, and do accounts slow each other?

    python -m ops.bench fairness            # --full: longer windows, and one of the large campaigns has a million rows

A real worker with its embedded Redis (`appendfsync always`) serves two accounts of 40 Interactions a second, each against a
simulator of its own on loopback that answers after 50 ms. What is counted is what the ledger has: rows opened, rows accepted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ops.bench.fleet import Account, fleet
from ops.bench.processes import wait_for
from ops.bench.report import Answer, Draft, Figure, Goal, repeat

PACE = 40.0
SMALL = 30
WORST_SPREAD = 0.05
LEAST_KEPT = 0.95
THROTTLED = {"fault": {"429_retry_after": 1.0}, "fault_getters": {"429": 1.0}}
HANGING = {"fault": {"hang_before": 1.0}, "fault_getters": {"hang_before": 1.0}}


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows of the large campaigns, and how long shares and paces are counted; `settle_s`: until an account's company is felt."""

    large: Sequence[int]
    share_s: float
    window_s: float
    settle_s: float = 3.0


SHORT, FULL = Plan((5_000,) * 3, 4.0, 2.0), Plan((1_000_000, 5_000, 5_000), 10.0, 4.0, 6.0)


def answer(*, full: bool) -> Answer:
    """Measure shares, then a small campaign beside large ones, then an account beside others."""
    return measure(FULL if full else SHORT, f"python -m ops.bench {'--full ' if full else ''}fairness")


def measure(plan: Plan, command: str) -> Answer:
    """Measure what is planned."""
    draft = Draft()
    with fleet([PACE, PACE]) as (account, other):
        campaigns = [account.begin(rows) for rows in plan.large]
        with draft.part("shares"):
            time.sleep(plan.settle_s)
            _shares(draft, account, campaigns, plan.share_s)
        with draft.part("a small campaign beside large ones"):
            _smalls(draft, account, plan.large)
        with draft.part("an account beside others"):
            _accounts(draft, account, other, plan)
    wait_min = sum(plan.large) / PACE / 60
    draft.remarks.append(
        f"In the order of their arrival the {SMALL} rows would wait for {wait_min:,.0f} minutes."
    )
    return draft.answer(
        question="Do campaigns of equal priority share an account's pace evenly, and do accounts not slow each other?",
        command=command,
        ran=(
            f"One worker process of 64 threads, two accounts of {PACE:g} Interactions a second, large campaigns of "
            f"{_named(plan.large)} rows, windows of {plan.share_s:g} s for shares and {plan.window_s:g} s for paces. "
            "Throttled: Twilio answers 429 to everything; hanging: it answers nothing."
        ),
    )


def _named(large: Sequence[int]) -> str:
    return " + ".join(f"{rows:,}" for rows in large)


def _shares(draft: Draft, account: Account, campaigns: list[str], share_s: float) -> None:
    spreads = repeat(lambda: 100 * _spread(account, campaigns, share_s))
    found = Figure(
        f"most to least served of {len(campaigns)} campaigns of equal priority, of their mean",
        "%",
        tuple(spreads),
    )
    draft.figures.append(found)
    what = f"campaigns of equal priority are served equally within {WORST_SPREAD:.0%}"
    draft.goals.append(Goal(what, found.median <= 100 * WORST_SPREAD))


def _smalls(draft: Draft, account: Account, large: Sequence[int]) -> None:
    alone, beside = zip(*repeat(lambda: _small(account)), strict=True)
    parts = len(large) + 1
    share = Figure(
        "the same, of its even share's time",
        "x",
        tuple(b / (a * parts) for a, b in zip(alone, beside, strict=True)),
    )
    draft.figures += [
        Figure(f"{SMALL} rows, alone", "s", alone),
        Figure(f"{SMALL} rows, beside {_named(large)}", "s", beside),
        share,
    ]
    what = f"a small one takes at most 1.5 x its share's time beside {max(large):,} rows"
    draft.goals.append(Goal(what, share.median <= 1.5))


def _accounts(draft: Draft, account: Account, other: Account, plan: Plan) -> None:
    """Have the other account do nothing, then be throttled, then hang."""
    alone: tuple[float, ...] = ()
    for what, how in (("idle", {}), ("throttled", THROTTLED), ("hanging", HANGING)):
        if how:
            other.misbehave(**how)
            if what == "throttled":
                other.begin(5_000)
            time.sleep(plan.settle_s)
        paces = tuple(repeat(lambda: _pace(account, plan.window_s)))
        draft.figures.append(Figure(f"rows a second beside an account that is {what}", "rows/s", paces))
        alone = alone or paces
        if how:
            ratios = tuple(a / b for a, b in zip(paces, alone, strict=True))
            kept = Figure(f"the same, of beside an idle one ({what})", "x", ratios)
            draft.figures.append(kept)
            draft.goals.append(
                Goal(f"{LEAST_KEPT:.0%} of the pace beside a {what} account", kept.median >= LEAST_KEPT)
            )


def _spread(account: Account, campaigns: list[str], seconds: float) -> float:
    before = account.opened(*campaigns)
    time.sleep(seconds)
    served = [now - then for now, then in zip(account.opened(*campaigns), before, strict=True)]
    return (max(served) - min(served)) / (sum(served) / len(served))


def _small(account: Account) -> tuple[float, float]:
    """Time a small campaign while the large ones are paused, and another while they run."""
    account.pause()
    alone_s = _time(account)
    before = account.all_accepted()
    account.resume()
    wait_for(lambda: account.all_accepted() >= before + PACE / 2, "the large campaigns to go on")
    return alone_s, _time(account)


def _time(account: Account) -> float:
    campaign = account.begin(SMALL)
    began = time.monotonic()
    wait_for(lambda: account.accepted(campaign) == [SMALL], "the small campaign")
    return time.monotonic() - began


def _pace(account: Account, seconds: float) -> float:
    before, began = account.all_accepted(), time.monotonic()
    time.sleep(seconds)
    return (account.all_accepted() - before) / (time.monotonic() - began)
