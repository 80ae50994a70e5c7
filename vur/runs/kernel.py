"""What a kernel that papermill started must do for itself."""

import ctypes
import os
import signal
import sys

PARENT = "VUR_PARENT_PID"
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """End this kernel when the process that started it is killed, so that none is left behind (Linux only)."""
    parent = os.environ.get(PARENT)
    if parent and sys.platform == "linux" and os.getppid() == int(parent):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
