"""HTTP: one router per audience and noun; the rules live elsewhere."""
