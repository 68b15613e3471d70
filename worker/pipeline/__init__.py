"""How a row moves, each file one story, from the ledger to Twilio and back."""
