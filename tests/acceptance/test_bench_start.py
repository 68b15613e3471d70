"""The benchmark of the start measures a real run, in the order in which things happen."""

from ops.bench.start import scene


def test_run_asks_then_opens_then_sends_and_so_does_the_script_beside_it() -> None:
    with scene(rows=1, latency_ms=0) as stage:
        begun, script_s = stage.run(), stage.script()

    assert 0 < begun.asked_s < begun.opened_s < begun.sent_s
    assert script_s > 0
