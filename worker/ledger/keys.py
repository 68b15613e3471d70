"""The glossary of Redis: every key of the ledger, its type, members, unit and lifetime.

All keys of an account share one hash tag, so that pacing, pair locks and campaigns live on one Redis.

| key | type | holds |
| --- | --- | --- |
| `o:{tag}:campaigns` | ZSET | campaign id -> created, ms; kept until purged |
| `o:{tag}:active` | SET | ids of campaigns with rows or closings left |
| `o:{tag}:workers` | HASH | session -> JSON {host, pid, started, concurrency, seen_ms}; dropped when its process is gone |
| `o:{tag}:tick` | STRING | the worker that does the account's tick now; PX some seconds |
| `o:{tag}:probe` | STRING | empty; written to see whether Redis takes changes; PX 1 s |
| `o:{tag}:polling` | SET | ids of campaigns and waves with deliveries or replies to ask for |
| `o:{tag}:heard` | SET | ids of campaigns and waves whose rows are found by conversation |
| `o:{tag}:dnc` | HASH | the do-not-contact list: `<channel>|<address>` or `*|<address>`, salted SHA-1 of it where there is a salt -> JSON {reason, date_ms} |
| `o:{tag}:dnc:salt` | STRING | the list's salt; there where only hashes are kept |
| `o:{tag}:pair:<hash>` | STRING | row that has a (customer, sender) pair in hand, or an Interaction of it to be closed; PX `pair_ms` |
| `o:{tag}:unsent:<sender>` | STRING | when the last of the opened rows that wait for a sender's slots comes back, ms; PX until then |
| `o:{tag}:schedules` | SET | names of the schedules |
| `o:{tag}:tt:<entry>` | HASH | an entry of the timetable: `schedule` JSON, `made_ms`, `settled_ms` (the last night that ended), of the open night `night` JSON, `token`, `owner`, `lease_ms`, `again_ms`; an entry is `files:<schedule>` or `follow-ups:<campaign id>` |
| `o:{tag}:tt:<entry>:nights` | LIST | JSON of the nights that ended, the newest first; the last 60 |
| `o:{tag}:tt:<entry>:taken` | HASH | SHA-256 of a customers' file -> JSON {file, stamp, night_ms, campaign}: taken once |
| `o:{tag}:beat:…` | - | RedBeat's own; `o:{tag}:beat::lock` (PX 25 s) is there while a beat acts |
| `o:{tag}:c:<id>` | HASH | the campaign: state, definition, columns, counts `n<state>`, `d<delivery>`, `dc<code>`, `answered`, `opted_out`, `seq`, `born`, `cautious`, `cursor`, `loaded`, `queued_n` (rows put into the window so far), `slots` (those that took one of the account's pace), `follow_ups`, … |
| `o:{tag}:c:<id>.f<n>-<t>` | HASH | a wave: the n-th follow-up for the t-th time; its other keys as a campaign's, but for `in`, which is the campaign's |
| `…:in:<bucket>` | HASH | field row-in-bucket -> JSON list of the customer's cells |
| `…:rw:<bucket>` | HASH | field -> packed record, see `row.py`; 64 rows a bucket, so that Redis keeps it as a listpack |
| `…:nt:<bucket>` | HASH | field -> JSON [code, sentence, advice] of rows with words of their own (invalid ones) |
| `…:past:<bucket>` | HASH | field -> records of the row's earlier sends, each with its length (2 bytes) in front |
| `…:cv:<bucket>` | HASH | last 4 bytes of a conversation's SID -> rows that have a message in it, with commas between; as many buckets as `rw` |
| `…:polls` | ZSET | bucket of rows -> when its deliveries and replies are to be asked for, ms |
| `…:polled` | HASH | bucket of rows -> when it was asked for last, ms |
| `…:waves` | SET | ids of the campaign's waves |
| `…:waved` | HASH | row -> the highest number of a send that a wave has given it |
| `…:hand` | HASH | row -> JSON of what its present holder needs (token, owner, channel, …); gone when the send ends |
| `…:due` | ZSET | PENDING row -> due, ms (retries and rows put back; rows behind the cursor have no entry) |
| `…:later` | ZSET | OPEN or DOUBT row -> due, ms |
| `…:queued` | ZSET | row in the broker's window -> since, ms |
| `…:lease` | ZSET | row in hand -> lease's end, ms |
| `…:out` | STREAM | s state: one entry for every send that ended, but for those cancelled; about the last 20,000 |
| `…:close` | HASH | Interaction SID -> JSON {row, channel, since, pair, refusals, refused_since}: to be closed |
| `…:closing` | ZSET | Interaction SID -> next attempt, ms |
| `…:unclosed` | HASH | Interaction SID -> JSON {row, code, since}: closing it was given up, for Twilio refuses it |
| `…:rej:<code>` | LIST | rows rejected with that code since the last resume |
| `…:back` | ZSET | code -> how many of its list the breaker still has to put back; gone when it has |
| `…:rejcodes` | SET | codes that have such a list |
"""

from __future__ import annotations

from hashlib import blake2b

BUCKET = 64
"""Rows a bucket: few enough for a listpack's linear search, many enough that the key itself costs under 2 bytes a row."""


def prefix(account_tag: str) -> str:
    """Give the prefix of every key of an account; the tag in braces is Redis's hash tag."""
    return f"o:{{{account_tag}}}:"


def wave_id(campaign_id: str, follow_up: int, time: int) -> str:
    """Name a wave: a follow-up (counted from 1, as the definition lists them) for the first, second, … time."""
    return f"{campaign_id}.f{follow_up}-{time}"


def parent_of(any_id: str) -> str:
    """Give the campaign of a wave; a campaign's own id is its own."""
    return any_id.partition(".f")[0]


def is_wave(any_id: str) -> bool:
    """Tell a wave's id from a campaign's."""
    return ".f" in any_id


def place_in_wave(any_id: str) -> tuple[int, int]:
    """Tell which follow-up a wave is, and for which time."""
    follow_up, _, time = any_id.partition(".f")[2].partition("-")
    return int(follow_up), int(time)


def campaign(account_prefix: str, campaign_id: str) -> str:
    """Name the campaign's hash, on which its other keys hang."""
    return f"{account_prefix}c:{campaign_id}"


def entry(account_prefix: str, name: str) -> str:
    """Name the hash of an entry of the timetable, on which its other keys hang."""
    return f"{account_prefix}tt:{name}"


def beat_prefix(account_tag: str) -> str:
    """Give the prefix of RedBeat's keys."""
    return f"{prefix(account_tag)}beat:"


def beat_lock(account_prefix: str) -> str:
    """Name the lock that the beat holds that acts."""
    return f"{account_prefix}beat::lock"


def pair(account_prefix: str, addresses: str) -> str:
    """Name the lock of a (customer, sender) pair, without the numbers in it."""
    digest = blake2b(addresses.encode(), digest_size=8).hexdigest()
    return f"{account_prefix}pair:{digest}"


def sender_queue(account_prefix: str, sender: str) -> str:
    """Name where it stands how long the queue for a sender's slots is; `sender`: its bucket's name."""
    return f"{account_prefix}unsent:{sender.removeprefix('sender:')}"


def place(row: int) -> tuple[int, int]:
    """Tell a row's bucket and its field there; rows count from 1."""
    return divmod(row - 1, BUCKET)
