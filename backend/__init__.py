"""Rentals, deposits, billing, dispatch and settlement; HTTP and pages."""
