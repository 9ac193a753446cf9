"""What every package may use and that knows nothing of evaluation: names, paths, locks, signals."""
