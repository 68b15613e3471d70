"""The endpoint for Twilio's webhooks: deliveries and replies, as they happen; polling finds what it misses."""
