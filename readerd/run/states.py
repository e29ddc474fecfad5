"""The state machines of bench, run and outbox row: one table each.

An illegal move raises `IllegalMove` and changes nothing. The diagrams in the documentation are
drawn from these tables.
"""

from collections.abc import Mapping
from typing import Final

Table = Mapping[str, Mapping[str, str]]  # state -> event -> next state

# What the reader beside us is doing; the words are `state.state` of the contract.
BENCH: Final[Table] = {
    "absent": {"opened": "hello"},
    "hello": {
        "identified": "ready",
        "failed": "recovering",
        "lost": "absent",
        "stuck": "needs_human",
    },
    "ready": {"arm": "armed", "read": "reading", "failed": "recovering", "lost": "absent"},
    "armed": {
        "arm": "armed",
        "disarm": "ready",
        "read": "reading",
        "failed": "recovering",
        "lost": "absent",
    },
    "reading": {"delivered": "ready", "failed": "recovering", "lost": "absent"},
    "recovering": {
        "parked": "hello",
        "failed": "recovering",
        "lost": "absent",
        "stuck": "needs_human",
    },
    # Asked again and again, quietly: only another answer is another state.
    "needs_human": {"identified": "ready", "stuck": "needs_human", "lost": "absent"},
}

# One run. `interrupted` is a run that was measuring when the process died.
RUN: Final[Table] = {
    "accepted": {"begin": "reading", "fail": "failed"},
    "reading": {"keep": "read", "fail": "failed", "interrupt": "interrupted"},
    "read": {"finish": "done"},
    "done": {"revise": "done"},
    "failed": {"recover": "done"},
    "interrupted": {"recover": "done"},
}

# One row of the outbox; being offered is a matter of the moment and not stored.
OUTBOX: Final[Table] = {
    "stored": {"puback": "broker_acked", "receipt": "confirmed", "refusal": "refused"},
    "broker_acked": {
        "puback": "broker_acked",
        "receipt": "confirmed",
        "refusal": "refused",
        "reoffer": "stored",
    },
    "confirmed": {"receipt": "confirmed", "refusal": "refused", "reoffer": "stored"},
    "refused": {"receipt": "confirmed", "refusal": "refused", "reoffer": "stored"},
}


class IllegalMove(RuntimeError):
    """A bug: somebody asked a state machine for a move that its table does not have."""


def move(table: Table, state: str, event: str) -> str:
    """The next state, or IllegalMove."""
    try:
        return table[state][event]
    except KeyError:
        allowed = ", ".join(sorted(table.get(state, {}))) or "none (final)"
        raise IllegalMove(f"{event!r} in state {state!r}; allowed: {allowed}") from None
