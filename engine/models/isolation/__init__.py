"""A model in a process of its own: its limits, who watches it, and what it prints."""
