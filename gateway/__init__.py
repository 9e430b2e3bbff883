"""The device side: what banks say becomes events; what the backend wishes reaches them."""
