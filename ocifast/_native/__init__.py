"""Compiled modules land here; each has a stub (.pyi) that is its contract. Nothing else lives here."""
