"""One plate's journey, and the memory of it.

Rules of the room: `Runner.submit` is the one door. Only `store.py` touches the world, and each of
its methods is one transaction without an await. State machines are tables (`states.py`): an illegal
move raises and changes nothing. Wall time comes in as a function; deadlines use the loop's clock.
A measurement is never repeated by itself: colour goes on changing.
"""
