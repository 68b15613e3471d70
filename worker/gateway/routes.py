"""Where a request may go: Twilio's own hosts or the configured base URL, and nowhere else."""

from __future__ import annotations

import re

from worker.gateway.exchange import NotSentError

# Strict on purpose: two URL parsers that disagree about a backslash or an `@` would send the credentials elsewhere.
_TWILIO_URL = re.compile(r"https://(?P<product>[a-z0-9-]+)(?:\.[a-z0-9-]+){0,2}\.twilio\.com(?=/)")


def route(url: str, base_url: str) -> str:
    """Return where to send what the SDK asks of `url`: `<base>/<product>/<path>` with a base, else `url` itself.

    Raises: NotSentError for any other host, for the next page's address comes out of an answer.
    """
    if base_url and url.startswith(f"{base_url}/"):
        return url
    found = _TWILIO_URL.match(url)
    if found is None or "\\" in url:
        raise NotSentError("the address is neither Twilio's nor the configured base URL's")
    return f"{base_url}/{found['product']}{url[found.end() :]}" if base_url else url
