"""State diagrams as mermaid text, drawn from the tables; the first state is where it begins."""

from readerd.run.states import BENCH, OUTBOX, RUN, Table

TABLES = {"bench": BENCH, "run": RUN, "outbox": OUTBOX}


def mermaid(table: Table) -> str:
    """The diagram of one table; a state without moves is an end."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for state, moves in table.items():
        lines += [f"    {state} --> {after}: {event}" for event, after in moves.items()]
        lines += [] if moves else [f"    {state} --> [*]"]
    return "\n".join(lines) + "\n"
