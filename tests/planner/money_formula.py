"""Reads the formulas of a sheet as a sceptical engineer would: from their text, with the numbers of the entries they name."""

import ast
import operator
from typing import Any

import pytest

from switchgear.planner.money_quantity import FUNCTIONS, Entry

_OPERATORS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def recomputed(formula: str, entries: dict[str, Entry]) -> float:
    """The value of a formula. Raises KeyError for a name that is no entry."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name() | ast.Attribute():
                return entries[ast.unparse(node)].value
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -value(inner)
            case ast.BinOp(left=left, op=sign, right=right):
                return float(_OPERATORS[type(sign)](value(left), value(right)))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return float(FUNCTIONS[name](*map(value, arguments)))
        raise AssertionError(f"unexpected in a formula: {ast.dump(node)}")

    return value(ast.parse(formula, mode="eval").body)


def check_all(entries: dict[str, Entry]) -> int:
    """Every result is what its formula says; how many there are."""
    results = [entry for entry in entries.values() if entry.formula]
    for entry in results:
        assert recomputed(entry.formula, entries) == pytest.approx(entry.value, rel=1e-7, abs=1e-6), entry
    return len(results)
