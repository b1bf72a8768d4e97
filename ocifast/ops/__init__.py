"""What a user asks for: one verb, one file. The only place where codecs, formats and engine meet."""
