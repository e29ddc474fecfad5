"""The embedded broker and the show: readerd without hardware, without a broker, without files.

Rules of the room: `packets` is pure bytes (no I/O, no clock); `broker` alone listens, on loopback
unless told otherwise. The broker knows MQTT and nothing of readerd, so what the show and the tests
receive came over a real socket. It is honest rather than large: what it does not do, it refuses.
"""
