from backend.api.ledger_words import LINES
from backend.domain.lang import Lang
from backend.domain.ledger import TransferKind


def test_every_line_of_the_books_has_words_in_every_language():
    assert set(LINES) == set(TransferKind)
    assert all(words[lang] for words in LINES.values() for lang in Lang)
