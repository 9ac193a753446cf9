"""From a plan to its states: what is left to compute, and computing it on Spark's workers."""
