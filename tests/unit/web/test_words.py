"""What the platform writes by itself has words on the pages."""

import ast
from pathlib import Path

import backend
from backend.domain.lang import Lang
from backend.web import duties

SERVICES = Path(backend.__file__).parent / "services"


def actions():
    """What is written into the audit, by any service: ``action=`` of a call, or its third word."""
    for path in SERVICES.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call):
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                given = [each.value for each in call.keywords if each.arg == "action"]
                given += call.args[3:4] if name == "_trace" else []
                for each in given:
                    if isinstance(each, ast.Constant):
                        yield each.value


def test_every_act_of_the_audit_has_words():
    found = set(actions())

    assert len(found) > 15
    for action in sorted(found):
        for lang in Lang:
            assert duties.did(action, lang), action
