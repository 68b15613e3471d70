"""The benchmark of HTTP clients, at its smallest: that it sends whole rows and tells what each client cost."""

from ops.bench.http_clients import OURS, STOCK, compare


def test_clients_are_compared_over_tls():
    [run] = compare({OURS: 3, STOCK: 2}, threads=2, runs=1)

    assert list(run) == [OURS, STOCK]
    for cost in run.values():
        assert cost.first > 0
        assert cost.later > 0
