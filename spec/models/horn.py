"""Horn clauses in a readable form, and SPASS to decide what follows from them.

A rule is "premise, premise -> conclusion"; a fact is a conclusion alone. Names in capitals are variables, all others
are functions, constants or predicates. A goal that follows is an attack (SPASS: "Proof found"); a goal that does not
follow from a saturated set of rules is out of reach for ever (SPASS: "Completion found").
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ATTACK, SAFE = "attack", "safe"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERDICTS = {"Proof found.": ATTACK, "Completion found.": SAFE}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`goal` is what must not happen; `expected` is the verdict, also for variants that are broken on purpose."""

    name: str
    question: str
    rules: tuple[str, ...]
    goal: str
    expected: str


def to_dfg(scenario: Scenario) -> str:
    """The scenario in SPASS's input language."""
    clauses = [_clause(rule) for rule in scenario.rules]
    functions, predicates = _symbols((*scenario.rules, scenario.goal))
    return "\n".join(
        (
            "begin_problem(elpis).",
            "list_of_descriptions.",
            f"name({{*{scenario.name}*}}).",
            "author({*elpis*}). status(unknown).",
            f"description({{*{scenario.question}*}}).",
            "end_of_list.",
            "list_of_symbols.",
            f"functions[{','.join(functions)}].",
            f"predicates[{','.join(predicates)}].",
            "end_of_list.",
            "list_of_clauses(axioms,cnf).",
            *clauses,
            "end_of_list.",
            "list_of_clauses(conjectures,cnf).",
            _clause(f"{scenario.goal} ->"),
            "end_of_list.",
            "end_problem.",
        )
    )


def decide(scenario: Scenario, prover: str = "SPASS", seconds: int = 60) -> str:
    """ATTACK or SAFE; RuntimeError when the prover comes to no verdict, which is never a proof."""
    with tempfile.TemporaryDirectory(prefix="elpis-model-") as folder:
        file = Path(folder, "problem.dfg")
        file.write_text(to_dfg(scenario), encoding="ascii")
        command = [prover, f"-TimeLimit={seconds}", "-PProblem=0", "-PGiven=0", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    for sentence, verdict in _VERDICTS.items():
        if f"SPASS beiseite: {sentence}" in done.stdout:
            return verdict
    raise RuntimeError(f"{scenario.name}: no verdict\n{done.stdout[-800:]}{done.stderr[-400:]}")


def _split(text: str) -> list[str]:
    """Parts between commas that stand outside of every bracket."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [part.strip() for part in (*parts, text[start:]) if part.strip()]


def _clause(rule: str) -> str:
    premises, _, conclusion = rule.rpartition("->") if "->" in rule else ("", "", rule)
    literals = [f"not({premise})" for premise in _split(premises)] + _split(conclusion)
    variables = sorted({name for name in _NAME.findall(rule) if name[0].isupper()})
    body = f"or({','.join(literals)})"
    return f"clause(forall([{','.join(variables)}],{body}))." if variables else f"clause({body})."


def _symbols(rules: Iterable[str]) -> tuple[list[str], list[str]]:
    """(functions, predicates) with their numbers of arguments; one name never has two."""
    functions: dict[str, int] = {}
    predicates: dict[str, int] = {}
    for rule in rules:
        premises, _, conclusion = rule.rpartition("->") if "->" in rule else ("", "", rule)
        for atom in (*_split(premises), *_split(conclusion)):
            name, arguments = _parts(atom)
            _note(predicates, name, len(arguments))
            for argument in arguments:
                _collect(argument, functions)
    return [f"({n},{a})" for n, a in sorted(functions.items())], [f"({n},{a})" for n, a in sorted(predicates.items())]


def _collect(term: str, functions: dict[str, int]) -> None:
    name, arguments = _parts(term)
    if name[0].isupper():
        return
    _note(functions, name, len(arguments))
    for argument in arguments:
        _collect(argument, functions)


def _parts(term: str) -> tuple[str, list[str]]:
    name, bracket, rest = term.partition("(")
    if not _NAME.fullmatch(name) or bool(bracket) != term.endswith(")"):
        raise ValueError(f"not a term: {term!r}")
    return name, _split(rest[:-1]) if bracket else []


def _note(known: dict[str, int], name: str, arguments: int) -> None:
    if known.setdefault(name, arguments) != arguments:
        raise ValueError(f"{name} is used with {known[name]} and with {arguments} arguments")
