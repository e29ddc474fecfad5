"""How to talk to an instrument without hanging: all that a driver author imports.

Rules of the room: drivers wait in `link.py` alone; only the ports behind `transport.py` and
`serve.py` touch the world; codecs and twins are pure (bytes in, frozen messages out). Deadlines
use the loop's clock. Everything is bounded: buffers, replies, retries, waits. Nothing here knows
an assay, and no module here names a driver.
"""
