"""Find the account of a campaign, where several accounts share a Redis."""

from collections.abc import Sequence

import redis

from worker.ledger import keys
from worker.redis_calls import ask_once


def find_account(client: redis.Redis, campaign_id: str, tags: Sequence[str]) -> str | None:
    """Give that of the accounts, by their tags, which has a campaign; None where none has. One round trip.

    Raises: RedisUnavailableError.
    """

    def ask() -> list[int]:
        with client.pipeline(transaction=False) as pipe:
            for tag in tags:
                pipe.exists(keys.campaign(keys.prefix(tag), campaign_id))
            return list(pipe.execute())

    found: list[int] = ask_once(ask)
    return next((tag for tag, is_there in zip(tags, found, strict=True) if is_there), None)
