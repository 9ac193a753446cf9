"""`endpoint`: is what a server answers what was tested, and how does it behave as a service?"""

from __future__ import annotations

from engine.kinds.endpoint.kind import EndpointKind

__all__ = ["EndpointKind"]
