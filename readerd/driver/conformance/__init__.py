"""The house rules of a driver, run on its twin or on an instrument.

Rules of the room: a rule is a function that says in its docstring what must hold, and raises
`Broken` with what it saw instead. Rules know the contract and no driver. On a twin they run in
virtual time, each conversation in a loop of its own; on a port in real time, and only those that
an instrument can be asked. `suite.RULES` is the list; nothing registers itself.
"""
