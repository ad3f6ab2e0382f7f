"""Which rows come when: batches, and the shares of corpora or tasks in an epoch."""
