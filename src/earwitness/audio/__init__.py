"""Hearing: what was said, pressed and lost on a recorded call. numpy only; speech is recognised where an engine is configured for it."""

import os

# numpy's BLAS must be told before numpy loads; several analyses run in threads of their own, so each gets one core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
