"""Spark and Delta: the session, tables, and their errors in a user's words."""
