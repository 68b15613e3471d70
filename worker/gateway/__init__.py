"""The only room that knows Twilio: one call in, one value out, never a guess."""
