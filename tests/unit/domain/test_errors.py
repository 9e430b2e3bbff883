from backend.domain.errors import Code, Refusal


def test_a_code_is_spelled_as_its_name():
    assert all(code.value == code.name.lower() for code in Code)


def test_a_refusal_tells_its_code_and_its_facts():
    refusal = Refusal(Code.BAD_CODE, tries_left=3)

    assert str(refusal) == "bad_code: tries_left=3"
    assert (refusal.code, refusal.detail) == (Code.BAD_CODE, {"tries_left": 3})


def test_a_refusal_without_facts_is_its_code():
    assert str(Refusal(Code.NOT_FOUND)) == "not_found"
