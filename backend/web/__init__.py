"""Pages, for people in a browser: the same services and rules as the API, nothing around them."""
