"""What a user asks for, one verb a file: the only place where codecs, formats and engine meet."""
