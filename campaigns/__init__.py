"""What to send: campaign definitions and customers; pure, without Redis, network or clock."""
