"""What the server that children are forked from imports: the libraries, so that no child has to.

It lives as long as the service, and ignores a signal to the whole group: the service ends its children itself.
"""

import signal

import pyarrow.parquet  # noqa: F401
import python_calamine  # noqa: F401

import vur.stages.upload
import vur.store.data.sources  # noqa: F401

signal.signal(signal.SIGTERM, signal.SIG_IGN)
