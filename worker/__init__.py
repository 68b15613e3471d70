"""How it is sent: ledger, pacing, gateway, pipeline and Celery tasks."""
