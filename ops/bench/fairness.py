"""Do campaigns share their account's pace evenly, is a small one served beside a large one, and do accounts slow each other?

    python -m ops.bench fairness            # --full: longer windows

A real worker with its embedded Redis (`appendfsync always`) serves two accounts of 40 Interactions a second, each against a
simulator of its own on loopback that answers after 50 ms. What is counted is what the ledger has: rows opened, rows accepted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ops.bench.fleet import Account, fleet
from ops.bench.processes import wait_for
from ops.bench.report import Answer, Figure, Goal, repeat

PACE = 40.0
CAMPAIGNS = 3
SMALL = 40
WORST_SPREAD = 0.05
LEAST_KEPT = 0.95
THROTTLED = {"fault": {"429_retry_after": 1.0}, "fault_getters": {"429": 1.0}}
HANGING = {"fault": {"hang_before": 1.0}, "fault_getters": {"hang_before": 1.0}}
_SETTLE_S = 3.0


def answer(*, full: bool) -> Answer:
    """Measure shares, then a small campaign beside a large one, then an account beside others."""
    large, share_s, window_s = (100_000, 30.0, 20.0) if full else (5_000, 5.0, 2.0)
    with fleet([PACE, PACE]) as (account, other):
        campaigns = [account.begin(large) for _ in range(CAMPAIGNS)]
        time.sleep(_SETTLE_S)
        spreads = tuple(repeat(lambda: _spread(account, campaigns, share_s)))
        smalls = repeat(lambda: _small(account))
        beside = {what: tuple(repeat(lambda: _pace(account, window_s))) for what in _companies(other)}
    alone = beside["idle"]
    figures = [
        Figure(
            f"most to least served of {CAMPAIGNS} equal campaigns, of their mean",
            "%",
            tuple(100 * each for each in spreads),
        ),
        Figure(f"{SMALL} rows, alone", "s", tuple(each[0] for each in smalls)),
        Figure(f"{SMALL} rows, beside {CAMPAIGNS} x {large:,}", "s", tuple(each[1] for each in smalls)),
        Figure(
            "the same, of its even share's time", "x", tuple(b / (a * (CAMPAIGNS + 1)) for a, b in smalls)
        ),
    ]
    kept = {}
    for what, paces in beside.items():
        figures.append(Figure(f"rows a second beside an account that is {what}", "rows/s", paces))
        kept[what] = Figure(
            f"the same, of beside an idle one ({what})",
            "x",
            tuple(a / b for a, b in zip(paces, alone, strict=True)),
        )
    figures += [kept["throttled"], kept["hanging"]]
    return Answer(
        question="Do campaigns share an account's pace evenly, and do accounts not slow each other?",
        command=f"python -m ops.bench {'--full ' if full else ''}fairness",
        ran=(
            f"One worker process of 64 threads, two accounts of {PACE:g} Interactions a second, windows of {share_s:g} s for shares and {window_s:g} s for paces. "
            "Throttled: Twilio answers 429 to everything; hanging: it answers nothing."
        ),
        figures=tuple(figures),
        goals=(
            Goal(
                f"equal campaigns are served equally within {WORST_SPREAD:.0%}",
                figures[0].median <= 100 * WORST_SPREAD,
            ),
            Goal(
                f"a small one takes at most 1.5 x its share's time beside {large:,} rows",
                figures[3].median <= 1.5,
            ),
            *(
                Goal(f"{LEAST_KEPT:.0%} of the pace beside a {what} account", kept[what].median >= LEAST_KEPT)
                for what in ("throttled", "hanging")
            ),
        ),
        remarks=(
            f"In the order of their arrival the {SMALL} rows would wait for {CAMPAIGNS * large / PACE / 60:.0f} minutes.",
        ),
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
    account.resume()
    time.sleep(1.0)
    return alone_s, _time(account)


def _time(account: Account) -> float:
    campaign = account.begin(SMALL)
    began = time.monotonic()
    wait_for(lambda: account.accepted(campaign) == [SMALL], "the small campaign")
    return time.monotonic() - began


def _companies(other: Account) -> Iterator[str]:
    """Have the other account behave in each of these ways."""
    yield "idle"
    other.begin(5_000)
    for what, how in (("throttled", THROTTLED), ("hanging", HANGING)):
        other.misbehave(**how)
        time.sleep(2 * _SETTLE_S)
        yield what


def _pace(account: Account, seconds: float) -> float:
    before, began = account.all_accepted(), time.monotonic()
    time.sleep(seconds)
    return (account.all_accepted() - before) / (time.monotonic() - began)
