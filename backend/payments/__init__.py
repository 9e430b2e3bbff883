"""Payment providers behind one port: what they know, and how they are asked."""
