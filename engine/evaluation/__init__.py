"""From states to cells, and from cells to verdicts; numpy alone."""
