"""Banks made of software, which nothing on the wire can tell from real ones."""
