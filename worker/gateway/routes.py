"""Where a request may go: Twilio's own hosts or the configured base URL, and nowhere else."""

from __future__ import annotations

import re
from functools import lru_cache

from worker.gateway.exchange import NotSentError

# Strict on purpose: two URL parsers that disagree about a backslash or an `@` would send the credentials elsewhere.
_TWILIO = re.compile(r"https://(?P<product>[a-z0-9-]+)(?:\.[a-z0-9-]+){0,2}\.twilio\.com")
_ELSEWHERE = "the address is neither Twilio's nor the configured base URL's"


def route(url: str, base_url: str) -> str:
    """Return where to send what the SDK asks of `url`: `<base>/<product>/<path>` with a base, else `url` itself.

    Raises: NotSentError for any other host, for the next page's address comes out of an answer.
    """
    if base_url and url.startswith(f"{base_url}/"):
        return url
    host_end = url.find("/", len("https://"))
    if host_end < 0 or "\\" in url:
        raise NotSentError(_ELSEWHERE)
    return _before_path(url[:host_end], base_url) + url[host_end:]


@lru_cache(maxsize=64)
def _before_path(host: str, base_url: str) -> str:
    found = _TWILIO.fullmatch(host)
    if found is None:
        raise NotSentError(_ELSEWHERE)
    return f"{base_url}/{found['product']}" if base_url else host
