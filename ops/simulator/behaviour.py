"""Which customers bring trouble, and what kind: the number patterns and the kinds of faults."""

import re
from dataclasses import dataclass
from hashlib import blake2b

BEFORE = (
    "429",
    "429_retry_after",
    "45780",
    "403",
    "404",
    "405",
    "500_before",
    "503",
    "cut_before",
    "hang_before",
)
AFTER = ("500_after", "503_after", "cut_after", "truncated", "hang_after", "unreadable")
FAULT_KINDS = BEFORE + AFTER

# where -> what may follow
_WHERE = {
    "interaction": {*FAULT_KINDS, "reject"},
    "message": {*FAULT_KINDS, "reject"},
    "close": {*FAULT_KINDS, "reject"},
    "channel": {"failed"},
    "setup": {"slow", "stuck"},
    "answer": {"no_conversation"},
    "pair": {"error", "silent", "failed"},
    "receipt": {"failed", "stuck"},
}
WEBHOOK_FAULTS = ("duplicate", "reorder", "drop")

# The last seven digits; 555 01NN is the block of numbers kept for fiction in North America.
DEFAULT_PATTERNS = {
    "5550150": "reply:Yes please",
    "5550151": "reply:STOP",
    "5550160": "answer:no_conversation",
    "5550161": "message:429:once",
    "5550162": "message:429_retry_after:once",
    "5550163": "message:500_before:once",
    "5550164": "message:500_after:once",
    "5550165": "message:cut_before:once",
    "5550166": "message:cut_after:once",
    "5550167": "message:unreadable:once",
    "5550168": "message:hang_after:once",
    "5550169": "interaction:hang_before:once",
    "5550170": "interaction:500_before",
    "5550171": "receipt:failed:63003",
    "5550172": "receipt:failed:63024",
    "5550173": "receipt:failed:63049",
    "5550174": "receipt:failed:30007",
    "5550175": "receipt:failed:21610",
    "5550176": "message:reject:21614",
    "5550177": "interaction:reject:21408",
    "5550178": "interaction:truncated:once",
    "5550179": "interaction:503:once",
    "5550180": "interaction:reject:21211",
    "5550181": "message:reject:21610",
    "5550182": "channel:failed:50407",
    "5550183": "pair:error",
    "5550184": "pair:silent",
    "5550185": "receipt:failed:63016",
    "5550186": "receipt:failed:63013",
    "5550187": "receipt:failed:30003",
    "5550188": "receipt:stuck",
    "5550189": "interaction:429:once",
    "5550190": "interaction:429_retry_after:once",
    "5550191": "interaction:500_before:once",
    "5550192": "interaction:500_after:once",
    "5550193": "interaction:cut_before:once",
    "5550194": "interaction:cut_after:once",
    "5550195": "interaction:unreadable:once",
    "5550196": "interaction:hang_after:once",
    "5550197": "pair:failed",
    "5550198": "setup:slow",
    "5550199": "setup:stuck",
}

_IN_ADDRESS = re.compile(r"(?:\+|--)((?:[a-z]+)\.(?:[a-z0-9_]+)(?:\.[a-z0-9]+)?)(?:@|$)")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One kind of trouble: where it happens, what happens, with which code, and whether only once."""

    where: str
    what: str
    code: int
    once: bool

    @classmethod
    def parse(cls, words: str, suffix: str) -> "Behaviour":
        """Read `where:what[:code|:once]`, or `reply:TEXT`.

        Raises: ValueError with a sentence that names the pattern.
        """
        if words.startswith("reply:") and words != "reply:":
            return cls("reply", words.removeprefix("reply:"), 0, False)
        where, what, argument = [*words.split(":"), "", "", ""][:3]
        if what not in _WHERE.get(where, ()):
            raise ValueError(f"pattern {suffix}: {words!r} is not known; see the table in the README")
        if argument and argument != "once" and not argument.isdigit():
            raise ValueError(f"pattern {suffix}: {argument!r} is neither a code nor `once`")
        return cls(where, what, int(argument) if argument.isdigit() else 0, argument == "once")


class Patterns:
    """Find the behaviour that an address asks for, by its last digits or a mark in its name."""

    def __init__(self, table: dict[str, str], on: bool = True) -> None:
        self._table = {suffix: Behaviour.parse(words, suffix) for suffix, words in table.items()}
        self._lengths = sorted({len(suffix) for suffix in table}, reverse=True)
        self._on = on

    def of(self, address: str) -> Behaviour | None:
        """Return the behaviour of `address`, or None for a well-behaved customer.

        A number is matched by its ending; an e-mail address or identity by a mark such as
        `ann+message.reject.21610@example.com` or `ann--setup.slow`.
        """
        if not self._on:
            return None
        for length in self._lengths:
            if (found := self._table.get(address[-length:])) is not None:
                return found
        marked = _IN_ADDRESS.search(address)
        try:
            return Behaviour.parse(marked[1].replace(".", ":"), address) if marked else None
        except ValueError:
            return None


def chance(seed: int, *what: object) -> float:
    """Return a number in [0, 1) that depends only on `seed` and `what`, whatever the order of events."""
    digest = blake2b(repr((seed, *what)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def draw(shares: dict[str, float], at: float) -> str | None:
    """Return the key of `shares` whose stretch of [0, 1) holds `at`, or None past them all."""
    for key, share in shares.items():
        at -= share
        if at < 0:
            return key
    return None
