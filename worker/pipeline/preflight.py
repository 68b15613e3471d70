"""Ask Twilio, before anything is sent, whether what a campaign names exists and may be used."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from campaigns.check import check_rows, template_problems
from campaigns.definition import Campaign
from campaigns.duplicates import Duplicates
from campaigns.names import say_key
from campaigns.problems import Problem, Severity
from campaigns.recipients import Recipient, compile_campaign
from campaigns.table import open_table
from campaigns.template import Template
from worker.errors import TwilioUnavailableError
from worker.gateway.outcome import Accepted, Answer, Unknown
from worker.gateway.seen import TemplateSeen
from worker.gateway.twilio import TwilioGateway

MOST_OF_A_KIND = 50
"""So many different SIDs of a kind are asked about; of a column that holds more, the rest is warned of."""

_THREADS = 8
_AT_ONCE = 20
_BETWEEN_S = 0.1
_AGAIN_S = (0.5, 1.5)
_REFUSED_CREDENTIALS = frozenset({401, 20003})

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Sid = tuple[str, str]
_Question: TypeAlias = tuple[Callable[[], Answer[Any]], Callable[[Answer[Any]], object], bool]


@dataclass(slots=True)
class Named:
    """What the rows of a campaign name at Twilio: a few of each kind, each with the first row that names it."""

    workflows: dict[Sid, int] = field(default_factory=dict)
    queues: dict[Sid, int] = field(default_factory=dict)
    agents: dict[Sid, int] = field(default_factory=dict)
    templates: dict[str, int] = field(default_factory=dict)
    senders: dict[str, int] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)

    def see(self, recipient: Recipient) -> None:
        """Note what one row names."""
        routing, row = recipient.routing, recipient.row
        self._add("workflows", self.workflows, (routing.workspace_sid, routing.workflow_sid), row)
        self._add("queues", self.queues, (routing.workspace_sid, routing.queue_sid), row)
        self._add("agents", self.agents, (routing.workspace_sid, routing.worker_sid), row)
        if recipient.message.content_sid:
            self._add("templates", self.templates, recipient.message.content_sid, row)
        if recipient.proxy_address:
            self._add("senders", self.senders, recipient.proxy_address, row)

    def _add(self, kind: str, known: dict[K, int], name: K, row: int) -> None:
        if name in known:
            return
        if len(known) < MOST_OF_A_KIND:
            known[name] = row
        else:
            self.left_out.add(kind)


def see_all(recipients: Iterable[Recipient]) -> Named:
    """Note what all of `recipients` name."""
    named = Named()
    for recipient in recipients:
        named.see(recipient)
    return named


def ask_about(
    gateway: TwilioGateway,
    campaign: Campaign,
    definition: Path,
    customers: Path,
    sleep: Callable[[float], None],
) -> list[Problem]:
    """Check what the campaign and its customers' file name; no more of the file is read than that needs.

    Returns, raises: as `ask_twilio`; RefusedError too, where the file can't be used.
    """
    return ask_twilio(gateway, campaign, see_all(_telling(campaign, customers)), sleep, str(definition))


def ask_twilio(
    gateway: TwilioGateway, campaign: Campaign, named: Named, sleep: Callable[[float], None], file: str
) -> list[Problem]:
    """Check all that the campaign names; `file` is the definition, where the problems are told.

    Returns: errors for what is certainly wrong, warnings for what Twilio would not say.
    Raises: TwilioUnavailableError where Twilio can't be reached at all, or refuses the credentials.
    """
    asker = _Asker(gateway, campaign, sleep, file)
    asker.check_credentials()
    asker.check_routing(named)
    for content_sid, row in named.templates.items():
        asker.check_template(content_sid, row)
    for number, follow_up in enumerate(campaign.follow_ups, start=1):
        if follow_up.content_sid:
            asker.check_later_template(follow_up.content_sid, f"follow_up.{number}")
    for sender, row in named.senders.items():
        asker.check_sender(sender, row)
    asker.ask_all()
    for kind in sorted(named.left_out):
        asker.say(
            f"only the first {MOST_OF_A_KIND} different {kind} of the file were checked at Twilio",
            "",
            "warning",
        )
    return asker.problems


def telling_rows(campaign: Campaign) -> int | None:
    """Return how many rows name all that a campaign names at Twilio; None where each may name something else."""
    routing = campaign.routing
    sids = (routing.workspace_sid, routing.workflow_sid, routing.queue_sid, routing.worker_sid)
    if any(
        text and "{" in text
        for text in (*sids, *routing.agents, campaign.message.content_sid, campaign.from_)
    ):
        return None
    # Agents are dealt in turn, though not strictly by row.
    return max(1, 4 * len(routing.agents))


def _telling(campaign: Campaign, customers: Path) -> Iterator[Recipient]:
    """Go through the recipients as far as they may name something new."""
    with open_table(customers) as table, Duplicates() as seen:
        compiled = compile_campaign(campaign, table.columns, table.file)
        checked = check_rows(compiled, table, seen)
        ready = (row.recipient for row in checked if row.recipient is not None)
        yield from islice(ready, telling_rows(campaign))


class _Asker:
    """Asks several things at a time, patiently and without haste, and keeps what is wrong, in the order of the checks."""

    def __init__(
        self, gateway: TwilioGateway, campaign: Campaign, sleep: Callable[[float], None], file: str
    ) -> None:
        self._gateway = gateway
        self._campaign = campaign
        self._sleep = sleep
        self._file = file
        self._planned: list[_Question] = []
        self.problems: list[Problem] = []

    def say(self, what: str, advice: str, severity: Severity = "error", row: int | None = None) -> None:
        self.problems.append(Problem(self._file, None, None, what, advice, severity, row))

    def check_credentials(self) -> None:
        self._plan(self._gateway.check_credentials, self._judge_credentials)

    def _judge_credentials(self, answer: Answer[bool]) -> None:
        refused = answer == Accepted(False) or (
            isinstance(answer, Unknown) and answer.code in _REFUSED_CREDENTIALS
        )
        if refused:
            raise TwilioUnavailableError(
                "Twilio refuses the credentials.",
                "Check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or TWILIO_API_KEY with TWILIO_API_SECRET.",
            )
        if isinstance(answer, Unknown) and _is_down(answer):
            raise TwilioUnavailableError(
                f"Twilio cannot be reached: {answer.detail or f'it answers {answer.code}'}.",
                "Check the network, HTTPS_PROXY and OUTREACH_TWILIO_BASE_URL, then give the command again.",
            )
        if isinstance(answer, Unknown):
            self._say_unknown("the credentials", answer)

    def check_routing(self, named: Named) -> None:
        missing: set[str] = set()

        def judge_workspace(workspace: str, row: int, answer: Answer[bool]) -> None:
            name = f"the workspace {workspace}"
            if not self._exists("routing.workspace_sid", name, "the account", answer, row):
                missing.add(workspace)

        def judge(key: str, name: str, workspace: str, row: int, answer: Answer[bool]) -> None:
            if workspace not in missing:
                self._exists(key, name, f"the workspace {workspace}", answer, row)

        for workspace, row in _first_of({**named.workflows, **named.queues, **named.agents}).items():
            self._plan(
                partial(self._gateway.fetch_workspace, workspace), partial(judge_workspace, workspace, row)
            )
        for key, what, fetch, sids in (
            ("routing.workflow_sid", "workflow", self._gateway.fetch_workflow, named.workflows),
            ("routing.queue_sid", "queue", self._gateway.fetch_queue, named.queues),
            ("routing.worker_sid", "agent", self._gateway.fetch_worker, named.agents),
        ):
            for (workspace, sid), row in sids.items():
                self._plan(
                    partial(fetch, workspace, sid), partial(judge, key, f"the {what} {sid}", workspace, row)
                )

    def check_later_template(self, content_sid: str, section: str) -> None:
        """Check what a follow-up names: nobody looks when it is sent."""
        if Template(content_sid).is_constant:
            self.check_template(content_sid, None, section)
        else:
            name = say_key(f"{section}.content_sid")
            self.say(f"{name} is taken from the file, and was not checked at Twilio", "", "warning")

    def check_template(self, content_sid: str, row: int | None, section: str = "message") -> None:
        def judge(answer: Answer[TemplateSeen | None]) -> None:
            name = f"the template {content_sid}"
            if isinstance(answer, Unknown):
                self._say_unknown(name, answer)
            elif answer.value is None:
                self.say(
                    f"{say_key(f'{section}.content_sid')}: {name} does not exist in the account",
                    "copy its SID from Content Template Builder",
                    row=row,
                )
            else:
                self._judge_template(answer.value, row, section)

        self._plan(partial(self._gateway.fetch_template, content_sid), judge)

    def check_sender(self, sender: str, row: int) -> None:
        self._plan(
            partial(self._gateway.has_sender, self._campaign.channel, sender),
            lambda answer: self._exists("from", f"the sender {sender}", "the account", answer, row),
            # Where Twilio has no list of such senders, that is no passing fault.
            once=True,
        )

    def ask_all(self) -> None:
        """Ask all that was planned, at most 10 times a second after the first few, and judge the answers.

        Workspaces are asked about together with what is in them, and all of it with the credentials, on which no more than
        the first few hang: one answer after another is most of a start's time.
        """
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="preflight") as pool:
            first, others = self._planned[:_AT_ONCE], self._planned[_AT_ONCE:]
            asked = [pool.submit(call) for call, _, _ in first]
            self._judge(first[:1], asked[:1])
            for call, _, _ in others:
                self._sleep(_BETWEEN_S)
                asked.append(pool.submit(call))
            self._judge(self._planned[1:], asked[1:])

    def _judge(self, planned: Sequence[_Question], asked: Sequence[Future[Answer[Any]]]) -> None:
        for (call, judge, once), answer in zip(planned, asked, strict=True):
            judge(answer.result() if once else self._again(answer.result(), call))

    def _plan(
        self, call: Callable[[], Answer[T]], judge: Callable[[Answer[T]], object], *, once: bool = False
    ) -> None:
        self._planned.append((call, judge, once))

    def _judge_template(self, template: TemplateSeen, row: int | None, section: str) -> None:
        status = template.approval_status or "unsubmitted"
        if self._campaign.channel == "whatsapp" and status != "approved":
            why = f", with the reason: {template.rejection_reason}" if template.rejection_reason else ""
            key = say_key(f"{section}.content_sid")
            what = f"{key}: WhatsApp has not approved the template {template.sid}; it is {status}{why}"
            self.say(
                what, "get it approved, or name another one; nothing else can begin a conversation", row=row
            )
        self.problems += template_problems(self._campaign, template.variables, self._file, section)

    def _exists(self, key: str, name: str, where: str, answer: Answer[bool], row: int) -> bool:
        if isinstance(answer, Unknown):
            self._say_unknown(name, answer)
        elif not answer.value:
            self.say(
                f"{key}: {name} does not exist in {where} (row {row})",
                "copy it from Twilio's console",
                row=row,
            )
            return False
        return True

    def _say_unknown(self, name: str, answer: Unknown) -> None:
        why = f" ({answer.code})" if answer.code else f" ({answer.detail})" if answer.detail else ""
        self.say(
            f"{name} could not be checked: Twilio does not say{why}",
            "check it in Twilio's console",
            "warning",
        )

    def _again(self, answer: Answer[T], call: Callable[[], Answer[T]]) -> Answer[T]:
        """Ask again what may be a passing fault."""
        for wait_s in _AGAIN_S:
            if not isinstance(answer, Unknown) or not (answer.throttled or _is_down(answer)):
                break
            self._sleep(max(wait_s, min(5.0, answer.retry_after_s or 0.0)))
            answer = call()
        return answer


def _is_down(answer: Unknown) -> bool:
    return answer.code == 0 or 500 <= answer.code < 600


def _first_of(sids: dict[Sid, int]) -> dict[str, int]:
    """Give each workspace with the first row that names it."""
    found: dict[str, int] = {}
    for (workspace, _), row in sids.items():
        found[workspace] = min(row, found.get(workspace, row))
    return found
