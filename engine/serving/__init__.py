"""Models that are served: how each kind of server is asked, started, and stopped."""
