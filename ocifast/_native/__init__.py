"""Compiled modules land here; each has a stub (.pyi), which is its contract. Nothing else does."""
