"""Other companies' computers, on loopback, as far as our tests need them."""
