"""Buckets are written in their order beside the reader, few ahead, and none after one that failed."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import pytest

from campaigns.check import CheckedRow
from worker.pipeline.writing import Writer


def bucket(number: int) -> list[CheckedRow]:
    return [CheckedRow(number, number + 1, (), None, "ready")]


def test_buckets_are_written_in_their_order_and_all_of_them() -> None:
    written: list[int] = []

    with Writer(lambda rows: written.append(rows[0].number)) as writer:
        for number in range(1, 101):
            writer.put(bucket(number), lambda: None)
        writer.finish()

    assert written == list(range(1, 101))


def test_reader_waits_where_a_few_buckets_wait_already() -> None:
    go_on, read = Event(), list[int]()

    def read_all(writer: Writer) -> None:
        for number in range(1, 101):
            writer.put(bucket(number), lambda: None)
            read.append(number)
        writer.finish()

    with Writer(lambda _: go_on.wait(60)) as writer, ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read_all, writer)
        with pytest.raises(TimeoutError):
            reading.result(0.2)
        ahead = len(read)
        go_on.set()
        reading.result(60)

    assert ahead <= 4
    assert read == list(range(1, 101))


def test_what_went_wrong_with_a_bucket_is_raised_and_no_bucket_after_it_is_written() -> None:
    written: list[int] = []

    def write(rows: list[CheckedRow]) -> None:
        if rows[0].number == 3:
            raise ValueError("the disk is full")
        written.append(rows[0].number)

    def write_all() -> None:
        with Writer(write) as writer:
            for number in range(1, 6):
                writer.put(bucket(number), lambda: None)
            writer.finish()

    with pytest.raises(ValueError, match="full"):
        write_all()

    assert written == [1, 2]


def test_each_bucket_is_told_of_in_order_once_it_is_written_and_the_teller_may_stop_it_all() -> None:
    written, told = list[int](), list[tuple[int, bool]]()

    def tell(number: int) -> None:
        told.append((number, number in written))
        if number == 98:  # when all are read
            raise KeyboardInterrupt

    def write_all() -> None:
        with Writer(lambda rows: written.append(rows[0].number)) as writer:
            for number in range(1, 101):
                writer.put(bucket(number), partial(tell, number))
            writer.finish()

    with pytest.raises(KeyboardInterrupt):
        write_all()

    assert told == [(number, True) for number in range(1, 99)]
    assert written == list(range(1, len(written) + 1))
