"""Who is at the other end of the local socket, as the kernel says it: nobody can claim another."""

import asyncio
import pwd
import socket
import struct
from asyncio.trsock import TransportSocket
from dataclasses import dataclass
from typing import Final

# unix(7), SO_PEERCRED: struct ucred of pid_t, uid_t, gid_t.
_UCRED: Final = struct.Struct("iII")
_names: Final[dict[int, str]] = {}


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that has connected, as it was when it did."""

    pid: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"pid={self.pid} uid={self.uid}"


def peer_of(connection: TransportSocket | socket.socket | None) -> Peer | None:
    """Who has connected to a unix socket; None on any other."""
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return Peer(*_UCRED.unpack(credentials))


async def in_words(peer: Peer) -> str:
    """`uid=1000 (ann)`; without the name where the machine has none for it."""
    if peer.uid not in _names:
        _names[peer.uid] = await asyncio.to_thread(_name, peer.uid)  # a directory may be far away
    name = _names[peer.uid]
    return f"uid={peer.uid} ({name})" if name else f"uid={peer.uid}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
