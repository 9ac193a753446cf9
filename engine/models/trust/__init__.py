"""Whether a model may be opened, found out without opening it.

To load a model file is, for most formats, to run what its maker wrote. So what a folder consists
of is read from the files themselves, none of which is unpickled or imported for it; a signature
and the registry's note of the files' digest are checked; and what a suite does not trust is not
opened anywhere: `resolve` does not look into it, and `load` refuses it in every process.
"""

from __future__ import annotations

from engine.models.trust.check import TrustedModel, examine, find_trusted, refuse_changes

__all__ = ["TrustedModel", "examine", "find_trusted", "refuse_changes"]
