"""Tell whether what is registered at Twilio for webhooks is read rightly, and nobody else's is replaced unasked."""

from dataclasses import replace

import pytest

from ops.webhooks.registration import advise, find_fault, make_plan
from worker.errors import RefusedHereError
from worker.gateway.seen import WebhookConfig

URL = "https://outreach.example/twilio"
NONE = WebhookConfig("", (), "GET", "webhook")
OURS = WebhookConfig(URL, ("onUserAdded", "onDeliveryUpdated", "onMessageAdded"), "POST", "webhook")


def test_what_is_as_it_should_be_is_left_alone() -> None:
    assert find_fault(OURS, URL) == ""
    assert make_plan(OURS, URL, replace=False).changes == ()


@pytest.mark.parametrize(
    ("config", "fault", "change"),
    [
        (NONE, "Nothing is registered", f"PostWebhookUrl: nothing -> {URL}"),
        (replace(OURS, method="GET"), "by GET", "Method: GET -> POST"),
        (
            replace(OURS, filters=("onUserAdded", "onMessageAdded")),
            "does not tell of onDeliveryUpdated",
            "Filters: onUserAdded, onMessageAdded -> onUserAdded, onMessageAdded, onDeliveryUpdated",
        ),
    ],
)
def test_what_is_missing_is_named_and_added(config: WebhookConfig, fault: str, change: str) -> None:
    plan = make_plan(config, URL, replace=False)

    assert fault in find_fault(config, URL)
    assert change in plan.changes
    assert find_fault(WebhookConfig(plan.url, plan.filters, "POST", "webhook"), URL) == ""


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (replace(OURS, post_url="https://other.example/hook"), "https://other.example/hook"),
        (replace(OURS, target="flex"), "to flex"),
    ],
)
def test_what_somebody_else_relies_on_is_replaced_only_where_that_is_asked_for(
    config: WebhookConfig, named: str
) -> None:
    assert named in find_fault(config, URL)
    with pytest.raises(RefusedHereError, match=named):
        make_plan(config, URL, replace=False)

    plan = make_plan(config, URL, replace=True)

    assert (plan.url, plan.filters) == (URL, OURS.filters)
    assert len(plan.changes) == 1


def test_the_command_that_is_advised_is_about_the_account_that_was_looked_at() -> None:
    stranger = replace(OURS, post_url="https://other.example/hook")

    assert advise(NONE, URL) == "`outreach webhooks set-up` mends that."
    assert advise(NONE, URL, "acme") == "`outreach webhooks set-up --account acme` mends that."
    assert advise(stranger, URL, "acme") == "`outreach webhooks set-up --replace --account acme` mends that."
    with pytest.raises(RefusedHereError) as refusal:
        make_plan(stranger, URL, "acme", replace=False)
    assert "`outreach webhooks set-up --replace --account acme`" in refusal.value.advice
