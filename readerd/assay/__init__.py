"""What the numbers of a plate mean. Pure: no clock, no files, no network, no log, no state.

Rules of the room: same input, same bits, in whatever order wells arrive; a value is a number or a
reason, never NaN; chemistry that disappoints is data with a flag, never an exception; nothing is
dropped, clipped or corrected without saying so; scipy lives in `curve` only.
"""
