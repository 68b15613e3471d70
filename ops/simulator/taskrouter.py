"""Imitate taskrouter.twilio.com: tasks, their look-up by attributes, and the SIDs a campaign names."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from ops.simulator.call import Answer, Call, Endpoint, page
from ops.simulator.errors import too_many
from ops.simulator.store import FlexTask, Store
from ops.simulator.taskquery import parse_query
from ops.simulator.twin import Twin

ROOT = "/taskrouter/v1/Workspaces/{workspace}"
_ACTIVITY_SID = "WA" + "0" * 31 + "1"


def list_tasks(twin: Twin, call: Call) -> Answer:
    """Answer with the tasks that fit, as far as the look-up has caught up; searching has a limit of its own."""
    settings, now = twin.settings, call.now
    _check_workspace(twin, call)
    tasks: Iterable[FlexTask] = twin.store.tasks.values()
    fits: Callable[[dict[str, Any]], bool] = lambda _: True  # noqa: E731  a default
    if expression := call.query.get("EvaluateTaskAttributes"):
        if not twin.take("task look-ups", call.account, call.arrived, settings.task_lookups_per_s):
            raise too_many(retry_after_s=settings.limit_retry_after_s)
        query = parse_query(expression)
        fits = query.test
        if query.wanted is not None and all(name in Store.INDEXED for name, _ in query.wanted):
            tasks = {
                one.sid: one for name, value in query.wanted for one in twin.store.tasks_with(name, [value])
            }.values()
    found = [
        one
        for one in tasks
        if one.account == call.account
        and one.routing["workspace_sid"] == call.params["workspace"]
        and one.created_at <= now - settings.lookup_lag_s
        and _fits_filters(one, call)
        and fits(one.seen_attributes(now))
    ]
    found.sort(key=lambda one: one.created_at)
    return 200, page(call, "tasks", [_task_body(twin, call, one) for one in found], 1000)


def fetch_task(twin: Twin, call: Call) -> Answer:
    """Answer with one task."""
    task = twin.store.tasks.get(call.params["task"])
    if (
        task is None
        or task.account != call.account
        or task.routing["workspace_sid"] != call.params["workspace"]
    ):
        raise call.missing()
    return 200, _task_body(twin, call, task)


def fetch_workspace(twin: Twin, call: Call) -> Answer:
    """Answer with a workspace; all exist but those said not to."""
    _check_workspace(twin, call)
    return 200, {
        **_resource(
            twin, call, call.params["workspace"], "Flex Task Assignment", _links(call, _WORKSPACE_LINKS)
        ),
        "default_activity_name": "Offline",
        "default_activity_sid": _ACTIVITY_SID,
        "event_callback_url": None,
        "events_filter": None,
        "multi_task_enabled": True,
        "prioritize_queue_order": "FIFO",
        "timeout_activity_name": "Offline",
        "timeout_activity_sid": _ACTIVITY_SID,
    }


def fetch_workflow(twin: Twin, call: Call) -> Answer:
    """Answer with a workflow."""
    return 200, {
        **_child(twin, call, "workflow", "WW", "Assign to Anyone"),
        "assignment_callback_url": None,
        "configuration": '{"task_routing":{"filters":[]}}',
        "document_content_type": "application/json",
        "fallback_assignment_callback_url": None,
        "task_reservation_timeout": 120,
    }


def fetch_queue(twin: Twin, call: Call) -> Answer:
    """Answer with a task queue."""
    return 200, {
        **_child(twin, call, "queue", "WQ", "Everyone"),
        "assignment_activity_name": None,
        "assignment_activity_sid": None,
        "reservation_activity_name": None,
        "reservation_activity_sid": None,
        "max_reserved_workers": 1,
        "target_workers": "1==1",
        "task_order": "FIFO",
    }


def fetch_worker(twin: Twin, call: Call) -> Answer:
    """Answer with a worker, an agent at a desk."""
    body = _child(twin, call, "worker", "WK", f"agent_{call.params['worker'][-4:]}")
    return 200, {
        **body,
        "activity_name": "Available",
        "activity_sid": _ACTIVITY_SID,
        "attributes": "{}",
        "available": True,
        "date_status_changed": body["date_created"],
    }


_WORKSPACE_LINKS = {
    "tasks": "/Tasks",
    "task_queues": "/TaskQueues",
    "workers": "/Workers",
    "workflows": "/Workflows",
}


def _check_workspace(twin: Twin, call: Call) -> None:
    sid = call.params["workspace"]
    if not sid.startswith("WS") or not twin.settings.has_sid(sid):
        raise call.missing()


def _links(call: Call, paths: dict[str, str]) -> dict[str, str]:
    return {name: call.url(call.path + path) for name, path in paths.items()}


def _resource(twin: Twin, call: Call, sid: str, name: str, links: dict[str, str]) -> dict[str, Any]:
    created = twin.clock.iso(twin.started_at)
    return {
        "sid": sid,
        "account_sid": call.account,
        "friendly_name": name,
        "date_created": created,
        "date_updated": created,
        "url": call.url(call.path),
        "links": links,
    }


def _child(twin: Twin, call: Call, param: str, prefix: str, name: str) -> dict[str, Any]:
    _check_workspace(twin, call)
    sid = call.params[param]
    if not sid.startswith(prefix) or len(sid) != 34 or not twin.settings.has_sid(sid):
        raise call.missing()
    links = {"workspace": call.url(call.path.rsplit("/", 2)[0])}
    return {**_resource(twin, call, sid, name, links), "workspace_sid": call.params["workspace"]}


def _fits_filters(task: FlexTask, call: Call) -> bool:
    query = call.query
    statuses = query.get("AssignmentStatus")
    return (
        (not statuses or task.status(call.now) in statuses.split(","))
        and query.get("WorkflowSid", task.routing["workflow_sid"]) == task.routing["workflow_sid"]
        and query.get("TaskQueueSid", task.routing["queue_sid"]) == task.routing["queue_sid"]
        and query.get("RoutingTarget", task.routing["routing_target"]) == task.routing["routing_target"]
    )


def _task_body(twin: Twin, call: Call, task: FlexTask) -> dict[str, Any]:
    routing = task.routing
    workspace = f"/taskrouter/v1/Workspaces/{routing['workspace_sid']}"
    url, created = call.url(f"{workspace}/Tasks/{task.sid}"), twin.clock.iso(task.created_at)
    return {
        "sid": task.sid,
        "account_sid": task.account,
        "age": int(call.now - task.created_at),
        "assignment_status": task.status(call.now),
        "attributes": json.dumps(task.seen_attributes(call.now), separators=(",", ":")),
        "addons": "{}",
        "date_created": created,
        "date_updated": created,
        "task_queue_entered_date": created,
        "virtual_start_time": created,
        "priority": routing["priority"],
        "reason": "",
        "task_queue_sid": routing["queue_sid"],
        "task_queue_friendly_name": routing["queue_name"],
        "task_channel_sid": routing["task_channel_sid"],
        "task_channel_unique_name": routing["task_channel_unique_name"],
        "timeout": routing["timeout"],
        "workflow_sid": routing["workflow_sid"],
        "workflow_friendly_name": routing["workflow_name"],
        "workspace_sid": routing["workspace_sid"],
        "ignore_capacity": False,
        "routing_target": routing["routing_target"],
        "url": url,
        "links": {
            "workspace": call.url(workspace),
            "task_queue": call.url(f"{workspace}/TaskQueues/{routing['queue_sid']}"),
            "workflow": call.url(f"{workspace}/Workflows/{routing['workflow_sid']}"),
            "reservations": f"{url}/Reservations",
        },
    }


ENDPOINTS = (
    Endpoint("GET", ROOT, fetch_workspace),
    Endpoint("GET", f"{ROOT}/Tasks", list_tasks),
    Endpoint("GET", f"{ROOT}/Tasks/{{task}}", fetch_task),
    Endpoint("GET", f"{ROOT}/Workflows/{{workflow}}", fetch_workflow),
    Endpoint("GET", f"{ROOT}/TaskQueues/{{queue}}", fetch_queue),
    Endpoint("GET", f"{ROOT}/Workers/{{worker}}", fetch_worker),
)
