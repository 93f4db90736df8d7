"""One page per track: what went in, what came out, how sure it is, and how well it did, for ears and eyes."""
