"""`python -m ocifast` is the command line."""

import sys

from ocifast.cli import main

sys.exit(main())
