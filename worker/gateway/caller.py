"""One call of the SDK, one value: the exceptions of the SDK and of the wire end here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twilio.base import deserialize, page, version  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from worker import json_text
from worker.gateway import answers, exchange, request
from worker.gateway.exchange import ExchangeError, NotSentError, Received
from worker.gateway.http import PooledHttpClient
from worker.gateway.outcome import Accepted, Answer, Deferred, Outcome, Unanswered, Unknown

T = TypeVar("T")

# The SDK reads the two dates of every record with `strptime`, which takes longer than all else that it does for a call:
# they are left as they are, and reading.py reads those that anybody asks for.
deserialize.iso8601_datetime = lambda text: text
# And its JSON, which is next.
page.json = version.json = json_text

MAX_PAGES = 20
MAX_RECORDS = 1_000  # of a page: no list of Twilio's gives more


class UnreadableError(Exception):
    """A complete answer that does not say what it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An account's SID with its token, or an API key with its secret (and the account's SID where it is known)."""

    account_sid: str = ""
    auth_token: str = field(default="", repr=False)
    api_key: str = ""
    api_secret: str = field(default="", repr=False)


class _Client(Client):  # type: ignore[misc]
    """The SDK's client, with its headers written once for each kind of request, rather than for each anew."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._headers: dict[tuple[object, ...], bytes] = {}

    def request(
        self,
        method: str,
        uri: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        **_: object,
    ) -> Response:
        """Send a request; how long it may take and where else it may lead to is not for the SDK to say."""
        kind = (method, *(headers or {}).items())
        written = self._headers.get(kind)
        if written is None:
            named, login = self.get_headers(method, headers), self.get_auth(None)
            # Without a token or a secret Twilio says what is missing, and the campaign stops with its words.
            written = self._headers[kind] = request.write_headers(named, login if all(login) else None)
        form = {name: value for name, value in data.items() if value is not None} if data else None
        return self.http_client.request(method, self.get_hostname(uri), params, form, written)


class Caller:
    """Make calls through the SDK; any number of threads may share one."""

    def __init__(
        self,
        credentials: Credentials,
        http: PooledHttpClient,
        wall_clock: Callable[[], float],
        region: str = "",
        edge: str = "",
    ) -> None:
        self._http = http
        self._wall_clock = wall_clock
        self._account_sid = credentials.account_sid
        # Made here rather than in wiring, for nothing outside this room may know the SDK.
        self._client = _Client(
            username=credentials.api_key or credentials.account_sid,
            password=credentials.api_secret if credentials.api_key else credentials.auth_token,
            account_sid=credentials.account_sid or None,
            region=region or None,
            edge=edge or None,
            http_client=http,
            environment={"-": "an empty one would make the SDK read os.environ"},
        )

    @property
    def clock_skew_s(self) -> float:
        """Twilio's clock less ours, by the `Date` of the latest answer; good to about a second."""
        return self._http.clock_skew_s

    def _send(self, call: Callable[[], Any], read: Callable[[Any], T | None]) -> Outcome[T]:
        """Make a call with an effect; an answer in which `read` finds nothing is no answer."""
        exchange.forget()
        try:
            value = read(call())
        except NotSentError as error:
            return Deferred(0, None, throttled=False, detail=error.reason)
        except ExchangeError as error:
            return Unanswered(error.reason)
        except Exception:  # noqa: BLE001  see below
            # Whatever the SDK trips over: once a request is out, only its answer counts. Before that it is our bug.
            received = _received_or_raise()
            if received is not None and not 200 <= received.status < 300:
                return answers.refusal(received, self._wall_clock())
            value = None
        return Unanswered("Twilio's answer could not be read") if value is None else Accepted(value)

    def _ask(self, look: Callable[[], T], if_absent: Accepted[T] | None = None) -> Answer[T]:
        """Make a look-up; `if_absent` is the answer where Twilio itself (not something between) says 404."""
        exchange.forget()
        try:
            value = look()
        except ExchangeError as error:
            return Unknown(0, error.reason)
        except Exception:  # noqa: BLE001  as above
            received = _received_or_raise()
            if received is None or 200 <= received.status < 300:
                return Unknown(0, "Twilio's answer could not be read")
            unknown = answers.unknown(received, self._wall_clock())
            is_absent = received.status == 404 and unknown.code != 404
            return if_absent if is_absent and if_absent is not None else unknown
        received = _received_or_raise()
        if received is not None and received.status >= 300:  # the SDK reads a redirection as an answer
            return answers.unknown(received, self._wall_clock())
        return Accepted(value)


def follow(first: Callable[..., Any], key: str, **filters: Any) -> Iterator[dict[str, Any]]:
    """Yield the records of all pages, from the one that `first(**filters)` fetches, as Twilio wrote them.

    Raises: UnreadableError where a page holds no list named `key` or one beyond MAX_RECORDS, or there are more than
    MAX_PAGES: a list that is not seen to its end proves no absence.
    """
    page = first(**filters)
    for pages_left in reversed(range(MAX_PAGES)):
        records = page._payload.get(key)
        if not isinstance(records, list) or len(records) > MAX_RECORDS:
            break
        yield from records
        if not page.next_page_url:
            return
        if not isinstance(page.next_page_url, str):
            raise UnreadableError("next_page_url")
        page = page.next_page() if pages_left else page
    raise UnreadableError(key)


def _received_or_raise() -> Received | None:
    """Return the answer of this thread's request, None if it went out and none came.

    Raises: the exception being handled, if nothing went out at all.
    """
    current = exchange.last()
    if current is None or not current.is_sent:
        raise  # noqa: PLE0704  re-raises what the caller is handling
    return current.received
