"""What Twilio answers when it refuses: a code, a sentence and an HTTP status."""

from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class Refused(Exception):  # noqa: N818  an answer of the imitated service, not an error of ours
    """A refusal as the imitated service gives it."""

    status: int
    code: int
    message: str
    retry_after_s: float | None = None

    def body(self, style: str, path: str) -> dict[str, Any]:
        """Return the JSON body, `legacy` or `rfc9457`; Twilio has both."""
        more_info = f"https://www.twilio.com/docs/errors/{self.code}"
        if style == "rfc9457":
            return {
                "type": more_info,
                "title": self.message,
                "status": self.status,
                "code": self.code,
                "detail": self.message,
                "instance": path,
            }
        return {"code": self.code, "message": self.message, "more_info": more_info, "status": self.status}


def not_found(path: str) -> Refused:
    """Return Twilio's 404 for `path`."""
    return Refused(404, 20404, f"The requested resource {path} was not found")


def too_many(code: int = 20429, retry_after_s: float | None = None) -> Refused:
    """Return Twilio's 429: the request was not processed."""
    text = "Too Many Requests" if code == 20429 else "Too many concurrent requests"
    return Refused(429, code, text, retry_after_s)


SENTENCES = {
    20001: "Invalid parameter",
    20403: "Forbidden",
    20404: "The requested resource was not found",
    21211: "Invalid 'To' Phone Number",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
    21606: "The 'From' phone number provided is not a valid, message-capable Twilio phone number",
    21610: "Attempt to send to unsubscribed recipient",
    21614: "'To' number is not a valid mobile number",
    45366: "Failed to create Channel. Invalid request parameters.",
    45367: "Failed to add Participant. Invalid request parameters.",
    50407: "Invalid messaging binding address",
    50408: "Invalid messaging binding proxy address",
    50416: "A binding for this participant and proxy address already exists",
}


def sentence(code: int) -> str:
    """Return the sentence that goes with `code`."""
    return SENTENCES.get(code, f"Refused with {code}")
