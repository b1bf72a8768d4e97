"""How fast this machine is at the moment, beside the one the promised figures are of."""

import subprocess
import sys

# CPU seconds of these imports on the 2-core Zen 4 machine of the README's figures, undisturbed
NOMINAL_SECONDS = 0.065
CODE = (
    "import time; t = time.process_time();"
    "import argparse, asyncio, email.message, json, logging, unittest;"
    "print(time.process_time() - t)"
)


def cpu_seconds(code: str) -> float:
    """What a new interpreter prints: seconds of CPU that it measured itself."""
    command = [sys.executable, "-P", "-c", code]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def slowness() -> float:
    """How many times longer imports of the standard library take now; 1.0 at the least.

    Neighbours on the host take caches and half of a core away: CPU seconds grow by 2 and more.
    """
    return max(1.0, cpu_seconds(CODE) / NOMINAL_SECONDS)
