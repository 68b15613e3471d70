"""The bytes of a request: its headers are the SDK's, and nothing breaks out of its line."""

import base64
from urllib.parse import parse_qsl

import pytest
from canned_wire import CannedWire
from gateway_builders import ACCOUNT, KEY, RECIPIENT, gateway_over, http_client, sid
from hypothesis import given
from hypothesis import strategies as st
from twilio.rest import Client

from worker.gateway.caller import Credentials
from worker.gateway.exchange import NotSentError
from worker.gateway.request import write, write_headers


class HeardWire(CannedWire):
    """Keep the headers of every request."""

    def __init__(self):
        super().__init__(500, b"")
        self.headers = []

    def converse(self, origin, request, current):
        lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        self.headers.append(dict(line.split(": ", 1) for line in lines))
        return super().converse(origin, request, current)


def test_request_is_written_in_one_piece():
    origin, request = write(
        "POST", "https://jo:pw@flex-api.twilio.com:444/v1/Interactions?a=b#c", b"Accept: x\r\n", b"a=1"
    )

    assert origin == "https://jo:pw@flex-api.twilio.com:444"
    assert request == (
        b"POST /v1/Interactions?a=b HTTP/1.1\r\nHost: flex-api.twilio.com:444\r\n"
        b"Accept: x\r\nContent-Length: 3\r\n\r\na=1"
    )


def test_form_without_fields_has_a_length_and_a_look_up_has_none():
    assert b"Content-Length: 0\r\n" in write("POST", "http://sim/x", b"", b"")[1]
    assert b"Content-Length" not in write("GET", "http://sim/x", b"", b"")[1]


@pytest.mark.parametrize("token", ["secret-1", "secret-2"])
def test_each_kind_of_request_has_the_headers_that_the_sdk_gives_it(token):
    wire = HeardWire()
    credentials = Credentials(account_sid=ACCOUNT, auth_token=token)
    gateway = gateway_over(wire.under(http_client("")), credentials=credentials)

    for _ in range(2):
        gateway.create_interaction(RECIPIENT, KEY)
        gateway.fetch_conversation_state(sid("CH"))
        gateway.has_participant(sid("CH"), "+14155550101")

    login = base64.b64encode(f"{ACCOUNT}:{token}".encode()).decode()
    ours = {"Accept-Encoding": "gzip", "Authorization": f"Basic {login}"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    hosts = ["flex-api.twilio.com", "conversations.twilio.com", "conversations.twilio.com"]
    expected = [
        Client(ACCOUNT, token).get_headers(method, dict(asked)) | ours | {"Host": host}
        for method, asked, host in zip(("POST", "GET", "GET"), (form, {}, form), hosts, strict=True)
    ]
    for heard, wanted in zip(wire.headers, expected * 2, strict=True):
        heard.pop("Content-Length", None)
        assert heard == wanted


@pytest.mark.parametrize(
    "credentials",
    [Credentials(), Credentials(account_sid=ACCOUNT), Credentials(account_sid=ACCOUNT, api_key="SK1")],
)
def test_request_without_a_token_or_a_secret_goes_out_for_twilio_to_refuse(credentials):
    wire = HeardWire()

    gateway_over(wire.under(http_client("")), credentials=credentials).create_interaction(RECIPIENT, KEY)

    (heard,) = wire.headers
    assert "Authorization" not in heard


@pytest.mark.parametrize(
    "url",
    [
        "http://sim/x HTTP/1.1\r\nX-Smuggled: 1",
        "http://sim/x\r\n\r\nGET /y",
        "http://sim/a\r\nX: y",
        "http://sim/a b",
        "http://sim/é",
        "http://sim/\x7f",
        "http://si\nm/",
        "http://si m/",
    ],
)
def test_address_that_would_break_out_of_its_line_is_not_written(url):
    with pytest.raises(NotSentError, match="cannot be used") as raised:
        write("GET", url, b"", b"")

    assert "Smuggled" not in str(raised.value)


@pytest.mark.parametrize(
    "headers",
    [{"Accept": "a\r\nX-Smuggled: 1"}, {"Accept\n": "a"}, {"Acc\nept": "x"}, {"Accept": "é"}],
)
def test_header_that_would_break_out_of_its_line_is_not_written(headers):
    with pytest.raises(NotSentError, match="cannot be used") as raised:
        write_headers(headers, None)

    assert "Smuggled" not in str(raised.value)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXT.filter(bool), TEXT | st.lists(TEXT, min_size=1), min_size=1))
def test_form_says_what_it_was_given(fields):
    sent = CannedWire(200, b"{}")
    sent.under(http_client("http://sim")).request(
        "POST", "https://flex-api.twilio.com/v1/Interactions", data=fields
    )

    ((_, _, body),) = sent.asked
    given_pairs = [
        (name, each)
        for name, value in fields.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    assert parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True) == given_pairs
    assert b";" not in body, "some take it for an ampersand"
