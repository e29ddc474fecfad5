"""Where people and machines reach us: the MQTT broker, scripts, buttons.

Rules of the room: the edge is thin. What comes in becomes one request to the run room and nothing
else; what goes out was stored before, bytes fixed. Each protocol library has one home here (the
MQTT client in `mqtt`, the web server in `http`). The rest of the room sees protocols, so a test
hands in another broker or another journal. Every wait has a deadline, every queue a bound.
"""
