"""Python runs this at start-up where this folder is on PYTHONPATH: only in the processes of the fault harness."""

import os

if "KPSBATCH_FAULTS" in os.environ:
    import fault_hooks

    fault_hooks.install()
