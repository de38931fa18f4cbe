"""The embedded store of Packhouse under the name of the library whose programs it runs.

See ``packhouse.store``, which this is.
"""

from packhouse.store import *  # noqa: F403
from packhouse.store import __all__ as __all__
