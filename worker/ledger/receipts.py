"""What is heard of a message after it was accepted: its delivery, and the customer's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.ledger import keys
from worker.ledger.reading import LedgerReader
from worker.ledger.scripts import Reply
from worker.ledger.states import Delivery


@dataclass(frozen=True, slots=True)
class Poll:
    """A bucket of rows to be asked about, in hand until `until_ms`; it was asked about last at `last_ms` (0: never)."""

    bucket: int
    last_ms: int
    until_ms: int

    @property
    def rows(self) -> range:
        """Give the numbers of its rows; the last bucket of a campaign may have fewer."""
        return range(self.bucket * keys.BUCKET + 1, (self.bucket + 1) * keys.BUCKET + 1)


class Receipts(LedgerReader):
    """Notes deliveries and answers, and keeps the times at which they are asked for."""

    def note_delivery(
        self,
        campaign_id: str,
        row: int,
        message: str,
        delivery: Delivery,
        code: int = 0,
        *,
        contact: Sequence[str] = (),
        stop: bool = False,
    ) -> Reply:
        """Note what became of a row's message, of its present send or an earlier one.

        Refused as `old` where as much was known, as `message` where no send of the row has that one. `contact`: the
        customer's fields of the do-not-contact list, for codes that put him there. `stop` opens the breaker.
        """
        args: dict[str, Any] = {"row": row, "message": message, "delivery": int(delivery), "code": code}
        args |= {"contact": list(contact) or None, "stop": stop or None}
        return self._run("note_delivery", campaign_id, **args)

    def note_answer(
        self, campaign_id: str, row: int, at_ms: int, *, opted_out: bool = False, contact: Sequence[str] = ()
    ) -> Reply:
        """Note that the customer wrote at `at_ms`; `opted_out`: he wants no more messages, so `contact` goes on the list.

        Refused as `old` where that was known. It stays known of the row whatever is sent to it again.
        """
        assert contact or not opted_out, "whoever opts out is put on the list"
        args: dict[str, Any] = {"row": row, "at_ms": at_ms, "opted_out": opted_out or None}
        return self._run("note_answer", campaign_id, contact=list(contact) or None, **args)

    def polling(self) -> list[str]:
        """List the ids of campaigns and waves with deliveries or replies to ask for, in a fixed order."""
        return sorted(
            name.decode() for name in self.scripts.ask(lambda: self.client.smembers(f"{self.prefix}polling"))
        )

    def take_polls(self, campaign_id: str, most: int, lease_ms: int) -> list[Poll]:
        """Take buckets of rows that are to be asked about now; they come again after the lease, unless `poll_again` says when."""
        until, taken = self._run("take_polls", campaign_id, most=most, lease_ms=lease_ms).values
        pairs = zip(taken[::2], taken[1::2], strict=True)
        return [Poll(int(bucket), int(last), int(until)) for bucket, last in pairs]

    def poll_again(self, campaign_id: str, poll: Poll, asked_ms: int, in_ms: int | None) -> Reply:
        """Note that a bucket was asked about, by its ages at `asked_ms`; next in `in_ms`, None is never.

        A message that was accepted meanwhile has its turn at its time all the same.
        """
        args = {
            "bucket": poll.bucket,
            "lease_until_ms": poll.until_ms,
            "asked_ms": asked_ms,
            "in_ms": in_ms,
        }
        return self._run("poll_again", campaign_id, **args)

    def find_by_conversation(self, conversation_sid: str) -> list[tuple[str, int]]:
        """Find the rows that have a message in a conversation: ids of campaigns and waves, and row numbers."""
        raw = bytes.fromhex(conversation_sid[2:])
        high, field = int.from_bytes(raw[8:12]), raw[12:]
        ids = sorted(
            each.decode() for each in self.scripts.ask(lambda: self.client.smembers(f"{self.prefix}heard"))
        )
        if not ids:
            return []
        sizes = self._together(lambda pipe: [pipe.hget(self.key(each), "rows") for each in ids])
        buckets = [high % max(1, -(-int(size or 0) // keys.BUCKET)) for size in sizes]
        pairs = list(zip(ids, buckets, strict=True))
        found = self._together(
            lambda pipe: [pipe.hget(self.key(each, f"cv:{bucket}"), field) for each, bucket in pairs]
        )
        named = [
            (each, int(row))
            for each, rows in zip(ids, found, strict=True)
            for row in (rows or b"").split(b",")
            if row
        ]
        # Four bytes may be those of another conversation.
        return [(each, row) for each, row in named if self._has_been_in(each, row, conversation_sid)]

    def _has_been_in(self, campaign_id: str, row: int, conversation_sid: str) -> bool:
        try:
            records = [self.get_row(campaign_id, row).record, *self.get_past(campaign_id, row)]
        except KeyError:
            return False
        return any(
            record.conversation_sid == conversation_sid.lower() or record.conversation_sid == conversation_sid
            for record in records
        )
