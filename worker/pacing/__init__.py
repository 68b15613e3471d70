"""Say how fast: shared paces on Redis's own clock, for all workers together."""

from worker.pacing.pacer import Bucket, BucketState, Granted, Order, Pacer, Wait

__all__ = ["Bucket", "BucketState", "Granted", "Order", "Pacer", "Wait"]
