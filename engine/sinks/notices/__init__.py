"""One message a run, to who wants to know how it ended: by a webhook or by mail."""
