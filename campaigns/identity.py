"""What makes a campaign the same campaign, and an address the same address."""

import hashlib
import json


def campaign_identity(account: str, base_url: str, name: str, file_sha256: str, generation: int = 0) -> str:
    """Name the campaign: the same account, Twilio, name and file give the same id; `generation` is `--again`.

    Returns: `<name>-<10 hex digits>`, which has nothing but `[a-z0-9-]`.
    """
    parts = json.dumps([account, base_url.rstrip("/"), name, file_sha256, generation])
    return f"{name}-{hashlib.sha256(parts.encode()).hexdigest()[:10]}"


def address_hash(address: str) -> bytes:
    """Shorten a normalised address to eight bytes, to be kept where the address itself should not be."""
    return hashlib.blake2b(address.encode(), digest_size=8).digest()
