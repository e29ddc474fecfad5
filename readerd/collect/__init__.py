"""The LIMS side: another process, sharing only the payload models with the daemon.

Rules of the room: what was received is kept as it came, byte for byte, and is acknowledged only
when it is durable: to the reader by a receipt, then to the broker. `ledger` and `message` are pure;
`shelf` alone touches the disk, `link` alone knows the MQTT library. Nothing that comes in from
outside may end the process. People who write their own LIMS side may read this one first.
"""
