"""What the bytes of a layer mean: one module a format. Compression is not known here."""
