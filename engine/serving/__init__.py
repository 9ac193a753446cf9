"""Models that are served: how each kind of server is asked, started and stopped.

A model is tested before it is promoted; what answers in production is the model behind a server,
behind JSON, behind types that are guessed anew. Here is all that speaks to such a server, without
knowing models, kinds or runs.
"""

from __future__ import annotations

from engine.serving.addresses import protocol_of, read_headers, shown_url
from engine.serving.answers import Reply, has_bare_numbers, read_json
from engine.serving.client import Client, Unreachable
from engine.serving.protocols import PROTOCOLS, Protocol
from engine.serving.rows import Input, Rows, rows_of
from engine.serving.server import Server, Stop, free_port, start_server

__all__ = [
    "PROTOCOLS",
    "Client",
    "Input",
    "Protocol",
    "Reply",
    "Rows",
    "Server",
    "Stop",
    "Unreachable",
    "free_port",
    "has_bare_numbers",
    "protocol_of",
    "read_headers",
    "read_json",
    "rows_of",
    "shown_url",
    "start_server",
]
