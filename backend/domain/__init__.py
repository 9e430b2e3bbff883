"""The rules of the trade: states, prices, postings, custody.

Standard library only, no clock, no random. A rule takes values and returns values; what it
forbids is a :class:`~backend.domain.errors.Refusal`.
"""
