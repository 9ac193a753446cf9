"""Papers about a model version, from one run: card, bill of materials, technical file."""
