"""The least that the requests of a row can cost: threads with a pycurl handle each, and nothing else. For `cost.py`.

python bare_curl.py URL BUNDLE THREADS        # then, on stdin, how many rows to send, once or more
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import local
from urllib.parse import urlencode

import pycurl

SENDER = "whatsapp:+19252210100"
_mine = local()


def _handle(bundle: str) -> pycurl.Curl:
    if not hasattr(_mine, "handle"):
        _mine.handle = pycurl.Curl()
        _mine.handle.setopt(pycurl.CAINFO, bundle)
        _mine.handle.setopt(pycurl.NOSIGNAL, 1)
        _mine.handle.setopt(pycurl.USERPWD, "AC" + "1" * 32 + ":secret-token")
    return _mine.handle


def _ask(handle: pycurl.Curl, url: str, form: dict[str, str] | None = None) -> dict[str, object]:
    answer = BytesIO()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.WRITEDATA, answer)
    if form is None:
        handle.setopt(pycurl.HTTPGET, 1)
    else:
        handle.setopt(pycurl.POSTFIELDS, urlencode(form))
    handle.perform()
    if handle.getinfo(pycurl.RESPONSE_CODE) >= 300:
        raise RuntimeError(answer.getvalue())
    return json.loads(answer.getvalue())  # type: ignore[no-any-return]


def send_row(url: str, bundle: str, row: int) -> None:
    """Open an Interaction, see the customer in its conversation, send the first message."""
    handle, address = _handle(bundle), f"whatsapp:+1202{2000000 + row}"
    participant = {"address": address, "proxy_address": SENDER, "type": "whatsapp"}
    properties = {
        "workspace_sid": "WS5f1d2c3b4a59687766554433221100ff",
        "workflow_sid": "WW0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "queue_sid": "WQ9f8e7d6c5b4a39281706f5e4d3c2b1a0",
        "attributes": {"customerAddress": address, "customerName": f"Name{row}"},
    }
    channel = {"type": "whatsapp", "initiated_by": "agent", "participants": [participant]}
    made = _ask(
        handle,
        f"{url}/v1/Interactions",
        {"Channel": json.dumps(channel), "Routing": json.dumps({"properties": properties})},
    )
    attributes = json.loads(made["routing"]["properties"]["attributes"])  # type: ignore[index]
    conversation = f"{url}/v1/Conversations/{attributes['conversationSid']}"
    there = _ask(handle, f"{conversation}/Participants?PageSize=100")
    if any(each["messaging_binding"]["address"] == address for each in there["participants"]):  # type: ignore[attr-defined]
        variables = json.dumps({"1": f"Name{row}", "2": "1 May"})
        content = {"ContentSid": "HX3a4b5c6d7e8f90123456789abcdef012", "ContentVariables": variables}
        _ask(handle, f"{conversation}/Messages", {"Author": "Renewals team", **content})


def main() -> None:
    """Send as many rows as each line of stdin says."""
    url, bundle, threads = sys.argv[1:]
    with ThreadPoolExecutor(int(threads)) as pool:
        for line in sys.stdin:
            for _ in pool.map(lambda row: send_row(url, bundle, row), range(int(line))):
                pass


if __name__ == "__main__":
    main()
