"""What a store keeps: one file for each of its tables, and their maintenance."""
