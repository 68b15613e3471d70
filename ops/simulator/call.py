"""One request as the handlers see it, and the pieces all of them share: JSON fields, pages, limits."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from multidict import MultiMapping

from ops.simulator.errors import Refused, not_found

if TYPE_CHECKING:
    from ops.simulator.twin import Twin

Answer = tuple[int, dict[str, Any]]
Handler = Callable[["Twin", "Call"], Answer]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method and path of the imitated API."""

    method: str
    path: str
    handler: Handler
    kind: str = "getter"  # interaction, message, close, getter, other: which faults apply

    @property
    def name(self) -> str:
        """Return the name used in the journal and statistics, as `POST flex-api/v1/Interactions`."""
        return f"{self.method} {self.path.lstrip('/')}"


@dataclass(slots=True)
class Call:
    """A request: who asks for what, when, and by which address of this server."""

    endpoint: Endpoint
    account: str
    base: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    form: MultiMapping[str]
    arrived: float
    now: float
    number: int
    cache: dict[str, Any] = field(default_factory=dict)

    def url(self, path: str) -> str:
        """Return the absolute URL of `path` on this server."""
        return f"{self.base}{path}"

    def missing(self) -> Refused:
        """Return the 404 for this request's own path."""
        return not_found("/" + self.path.split("/", 3)[-1])

    def values(self, name: str) -> list[str]:
        """Return all values of a form field that may be given more than once."""
        return self.form.getall(name, [])

    def json_field(self, name: str) -> Any:
        """Return a form field that holds JSON, or None where it is absent.

        Raises: Refused if it is no JSON object.
        """
        if name not in self.cache:
            text = self.form.get(name)
            try:
                self.cache[name] = json.loads(text) if text else None
            except ValueError:
                raise Refused(400, 20001, f"Invalid parameter: {name} is not valid JSON") from None
        return self.cache[name]


def page(call: Call, key: str, items: Sequence[Any], maximum: int, default: int = 50) -> dict[str, Any]:
    """Return one page of `items` under `key`, with Twilio's `meta`."""
    size = _number(call, "PageSize", default)
    if not 1 <= size <= maximum:
        size = maximum if size > maximum else default
    start = _start(call, size)
    number = start // size
    kept = {
        name: value for name, value in call.query.items() if name not in {"Page", "PageToken", "PageSize"}
    }

    def link(index: int) -> str:
        token = {"PageToken": f"PT{index * size}"} if index else {}
        return f"{call.url(call.path)}?{urlencode({**kept, 'PageSize': size, 'Page': index, **token})}"

    more = start + size < len(items)
    return {
        key: list(items[start : start + size]),
        "meta": {
            "page": number,
            "page_size": size,
            "first_page_url": link(0),
            "previous_page_url": link(number - 1) if number else None,
            "url": link(number),
            "next_page_url": link(number + 1) if more else None,
            "key": key,
        },
    }


def _start(call: Call, size: int) -> int:
    token = call.query.get("PageToken", "")
    if token:
        if not token.startswith("PT") or not token[2:].isdigit():
            raise Refused(400, 20001, "Invalid parameter: PageToken")
        return int(token[2:])
    if number := _number(call, "Page", 0):
        if "/Tasks" in call.path:
            raise Refused(400, 40153, "Pagination by Page is not supported")
        return number * size
    return 0


def _number(call: Call, name: str, default: int) -> int:
    text = call.query.get(name, "")
    if text and not text.isdigit():
        raise Refused(400, 20001, f"Invalid parameter: {name}")
    return int(text) if text else default


class Window:
    """A limit of so many within any one second, as the server's clock has it."""

    def __init__(self) -> None:
        self._taken: deque[float] = deque()

    def take(self, now: float, limit: int) -> bool:
        """Take a place in the second that ends at `now`, or say no; 0 is no limit."""
        while self._taken and self._taken[0] <= now - 1.0:
            self._taken.popleft()
        if limit and len(self._taken) >= limit:
            return False
        self._taken.append(now)
        return True
