"""What a worker runs: batches of rows in, sums of states out. Nothing here knows Spark."""
