"""Turns a row into the recipient that Twilio is to be told of, or says why it cannot be one."""

from campaigns.compiled import CompiledCampaign, compile_campaign
from campaigns.recipient import Message, Recipient, Routing
from campaigns.row_error import RowError

__all__ = ["CompiledCampaign", "Message", "Recipient", "Routing", "RowError", "compile_campaign"]
