"""The way in for tests and people: journal, statistics, settings, reset, and the page."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from ops.simulator.opening import occupy
from ops.simulator.page import page_data
from ops.simulator.replies import write_reply
from ops.simulator.twin import Twin

PAGE = Path(__file__).with_name("page.html")


def control_routes(twin: Twin) -> list[web.RouteDef]:
    """Return the routes under `/_sim`, and the page at `/`."""
    control = _Control(twin)
    return [
        web.get("/", control.page),
        web.get("/_sim/page", control.page_data),
        web.get("/_sim/journal", control.journal),
        web.get("/_sim/stats", control.stats),
        web.get("/_sim/settings", control.settings),
        web.post("/_sim/settings", control.change_settings),
        web.post("/_sim/reset", control.reset),
        web.post("/_sim/occupy", control.occupy),
        web.post("/_sim/close", control.close),
        web.post("/_sim/leave", control.leave),
        web.post("/_sim/reply", control.reply),
    ]


class _Control:
    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    async def page_data(self, request: web.Request) -> web.StreamResponse:
        """Answer with what the page shows."""
        return web.json_response(page_data(self._twin, f"http://{request.host}"))

    async def page(self, _: web.Request) -> web.StreamResponse:
        """Show the page."""
        return web.FileResponse(
            PAGE, headers={"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
        )

    async def journal(self, request: web.Request) -> web.StreamResponse:
        """Answer with effects (`?effect=KIND`, `?since=N`) and requests (`?requests=0` leaves them out)."""
        self._twin.agenda.catch_up(self._twin.clock.now())
        kind, since = request.query.get("effect"), int(request.query.get("since", "0"))
        effects = [one for one in self._twin.journal.effects[since:] if kind is None or one["effect"] == kind]
        body: dict[str, Any] = {"effects": effects}
        if request.query.get("requests") != "0":
            body["requests"] = [
                {"at": round(at, 6), "request": name, "status": status, "account": account}
                for at, name, status, account in self._twin.journal.requests
            ]
        return web.json_response(body)

    async def stats(self, _: web.Request) -> web.StreamResponse:
        """Answer with counts: effects, and each endpoint's arrivals."""
        return web.json_response(statistics(self._twin))

    async def settings(self, _: web.Request) -> web.StreamResponse:
        """Answer with all settings."""
        return web.json_response(self._twin.settings.as_dict())

    async def change_settings(self, request: web.Request) -> web.StreamResponse:
        """Change the settings named in a JSON object, all or none; answer with all of them."""
        try:
            self._twin.settings.change(dict(await request.json()))
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        self._twin.settings_changed()
        return web.json_response(self._twin.settings.as_dict())

    async def reset(self, request: web.Request) -> web.StreamResponse:
        """Forget everything but the settings; with `{"settings": true}` these too go back to the start's."""
        text = await request.text()
        self._twin.reset(bool(text and json.loads(text).get("settings")))
        return web.json_response({"reset": True})

    async def occupy(self, request: web.Request) -> web.StreamResponse:
        """Open somebody else's conversation: `{address, proxy_address[, account]}`."""
        wanted = await request.json()
        account = wanted.get("account") or self._twin.settings.account_sid
        now = self._twin.clock.now()
        conversation = occupy(self._twin, account, wanted["address"], wanted["proxy_address"], now)
        return web.json_response({"conversation_sid": conversation.sid})

    async def close(self, request: web.Request) -> web.StreamResponse:
        """Close a conversation from outside: `{conversation_sid}`."""
        sid = (await request.json()).get("conversation_sid", "")
        conversation = self._twin.store.conversations.get(sid)
        if conversation is None:
            return web.json_response({"error": f"there is no conversation {sid}"}, status=404)
        now = self._twin.clock.now()
        self._twin.store.close_conversation(conversation, now)
        self._twin.journal.effect("conversation_closed", now, conversation_sid=sid)
        return web.json_response({"conversation_sid": sid, "state": "closed"})

    async def leave(self, request: web.Request) -> web.StreamResponse:
        """Take the customer out of a conversation, which stays open: `{conversation_sid}`."""
        sid = (await request.json()).get("conversation_sid", "")
        now = self._twin.clock.now()
        conversation = self._twin.store.conversations.get(sid)
        customer = conversation.customer(now) if conversation else None
        if conversation is None or customer is None:
            return web.json_response({"error": f"there is no customer in a conversation {sid}"}, status=404)
        self._twin.store.remove_participant(conversation, customer, now)
        self._twin.journal.effect("customer_left", now, conversation_sid=sid)
        return web.json_response({"conversation_sid": sid})

    async def reply(self, request: web.Request) -> web.StreamResponse:
        """Have a customer write: `{address, body[, proxy_address][, account]}`."""
        wanted = await request.json()
        address, body = wanted.get("address"), wanted.get("body")
        if not (address and isinstance(address, str) and body and isinstance(body, str)):
            return web.json_response({"error": "a reply needs an address and a body"}, status=400)
        now = self._twin.clock.now()
        self._twin.agenda.catch_up(now)
        proxy_address, account = wanted.get("proxy_address"), wanted.get("account")
        written = write_reply(self._twin, address, proxy_address, body, account, now)
        if written is None:
            return web.json_response({"error": "the customer is in no open conversation"}, status=404)
        conversation, message = written
        return web.json_response({"conversation_sid": conversation.sid, "message_sid": message.sid})


def statistics(twin: Twin) -> dict[str, Any]:
    """Return counts of effects, and for each endpoint its arrivals, statuses and busiest second."""
    arrivals: dict[str, list[float]] = {}
    statuses: dict[str, Counter[str]] = {}
    for at, name, status, _ in twin.journal.requests:
        arrivals.setdefault(name, []).append(at)
        statuses.setdefault(name, Counter())[str(status)] += 1
    endpoints = {
        name: _endpoint_statistics(sorted(times), statuses[name]) for name, times in arrivals.items()
    }
    return {
        "effects": dict(twin.journal.counts),
        "requests": len(twin.journal.requests),
        "endpoints": endpoints,
    }


def _endpoint_statistics(times: list[float], statuses: Counter[str]) -> dict[str, Any]:
    first = times[0]
    per_second = Counter(int(at - first) for at in times)
    return {
        "count": len(times),
        "statuses": dict(statuses),
        "first_at": round(first, 6),
        "last_at": round(times[-1], 6),
        "max_in_1s": busiest_second(times),
        "per_second": [per_second.get(second, 0) for second in range(max(per_second) + 1)],
    }


def busiest_second(times: Sequence[float]) -> int:
    """Return the most arrivals in any window of one second, its end left out; `times` is in order."""
    most = start = 0
    for end, at in enumerate(times):
        while times[start] <= at - 1.0:
            start += 1
        most = max(most, end - start + 1)
    return most
