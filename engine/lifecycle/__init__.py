"""From a verdict to production: what evidence there is for a version, and what is done with it."""
