"""The documents of the OCI image format as frozen values; no I/O, no native code."""
