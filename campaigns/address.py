"""Addresses of every channel, brought to the one form under which Twilio knows them."""

import re
from functools import lru_cache

from campaigns.names import BLANKS, find_near_miss
from campaigns.numbering import known_regions
from campaigns.phone import find_phone_doubt, normalise_phone
from campaigns.row_error import RowError, quote

WHATSAPP = "whatsapp:"
MAX_IDENTITY_LENGTH = 256
MAX_EMAIL_LENGTH = 320  # 64 before the @ and 255 after it
_SENDER = re.compile(r"\+[1-9][0-9]{6,14}")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_PLAIN_EMAIL = re.compile(
    r"([A-Za-z0-9_+\-]+(?:\.[A-Za-z0-9_+\-]+)*)@((?:[A-Za-z0-9][A-Za-z0-9-]{0,61}\.)+[A-Za-z]{2,24})"
)
_RESERVED_IN_URI = re.compile(r"[:/?#\[\]@!$&'()*+,;=%]")
_OFTEN_MEANT = {"UK": "GB", "EN": "GB", "USA": "US", "GBR": "GB", "EL": "GR"}


def normalise_address(channel: str, text: str, region: str | None) -> str | RowError:
    """Give the customer's address as Twilio takes it, or why it is none."""
    if channel == "sms":
        if text[:9].lower() == WHATSAPP:
            return RowError(
                "bad_address",
                f"{quote(text)} is a WhatsApp address, and the channel is sms",
                "write the number alone",
            )
        return normalise_phone(text, region)
    if channel == "whatsapp":
        number = normalise_phone(text[9:].strip(BLANKS) if text[:9].lower() == WHATSAPP else text, region)
        return WHATSAPP + number if isinstance(number, str) else number
    if channel == "email":
        return normalise_email(text)
    return _read_identity(text)


def find_address_doubt(channel: str, text: str, address: str, region: str | None) -> RowError | None:
    """Find what an operator should know of an address that passed."""
    if channel in ("sms", "whatsapp"):
        number = address.removeprefix(WHATSAPP)
        return find_phone_doubt(text[9:] if text[:9].lower() == WHATSAPP else text, number, region)
    if channel in ("chat", "web") and (reserved := _RESERVED_IN_URI.search(address)):
        sentence = f"the identity {quote(address)} holds {quote(reserved[0])}, which Twilio asks to avoid"
        return RowError("reserved_character", sentence, "use letters, digits, - . _ and ~")
    return None


@lru_cache(maxsize=1024)
def normalise_sender(channel: str, text: str) -> str | RowError:
    """Give the address to send from as Twilio takes it, or why it is none."""
    text = text.strip(BLANKS)
    if channel == "email":
        return normalise_email(text)
    if channel not in ("sms", "whatsapp"):
        return _read_identity(text)
    is_whatsapp = text[:9].lower() == WHATSAPP
    number = re.sub(r"[ ().\-]", "", text[9:] if is_whatsapp else text)
    if channel == "sms" and is_whatsapp:
        return RowError(
            "bad_sender",
            f"{quote(text)} is a WhatsApp sender, and the channel is sms",
            'write channel = "whatsapp", or the number alone',
        )
    if not (_SENDER.fullmatch(number) or (channel == "sms" and _SHORT_CODE.fullmatch(number))):
        wanted = f"{WHATSAPP}+19251235555" if channel == "whatsapp" else "+19251235555"
        return RowError("bad_sender", f"{quote(text)} is no number to send from", f"write it as {wanted}")
    return WHATSAPP + number if channel == "whatsapp" else number


def normalise_email(text: str) -> str | RowError:
    """Give an e-mail address with its domain in lower case, or why it is none."""
    text = text.removeprefix("mailto:")
    if len(text) > MAX_EMAIL_LENGTH:
        sentence = f"{quote(text)} has {len(text):,} characters, and no e-mail address has more than {MAX_EMAIL_LENGTH}"
        return RowError("bad_address", sentence, "keep one address in the cell")
    if (match := _PLAIN_EMAIL.fullmatch(text)) and len(match[1]) <= 64 and len(text) <= 254:
        return f"{match[1]}@{match[2].lower()}"
    import email_validator

    try:
        checked = email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError as error:
        advice = str(error)[:1].lower() + str(error)[1:].rstrip(".")
        if re.search(r"[,;\s]\S+@", text):
            advice = "keep one address in the cell"
        return RowError("bad_address", f"{quote(text)} is no e-mail address", advice)
    return checked.normalized


def find_region_fault(region: str) -> tuple[str, str] | None:
    """Find what is wrong with a default region."""
    if region in known_regions():
        return None
    near = _OFTEN_MEANT.get(region.upper()) or (region.upper() if region.upper() in known_regions() else None)
    near = near or find_near_miss(region, known_regions())
    advice = f'write "{near}"' if near else 'write a two-letter country code, such as "GB" or "US"'
    return f'default_region "{region}" is no region', advice


def _read_identity(text: str) -> str | RowError:
    if len(text) > MAX_IDENTITY_LENGTH:
        return RowError(
            "bad_address",
            f"the address has {len(text)} characters, and Twilio takes {MAX_IDENTITY_LENGTH}",
            "shorten it",
        )
    if not text.isprintable() or any(char.isspace() for char in text):
        return RowError(
            "bad_address", f"the address {quote(text)} holds a space or an invisible character", "take it out"
        )
    return text
