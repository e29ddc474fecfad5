"""A serial device through pyserial, locked against a second opener."""

import errno
import os

import serial

from readerd.driver.pump import BlockingPort
from readerd.driver.stream import LineSettings
from readerd.errors import LinkLost

# Commands are short; a line that takes none of it for so long is blocked by its handshake.
WRITE_WITHIN_S = 5.0


def open_serial(path: str, line: LineSettings) -> BlockingPort:
    """RTS and DTR are asserted by pyserial where the device has them and no handshake owns them."""
    try:
        port = serial.Serial(
            path,
            baudrate=line.baud,
            bytesize=line.data_bits,
            parity=line.parity,
            stopbits=line.stop_bits,
            rtscts=line.rtscts,
            dsrdtr=line.dsrdtr,
            timeout=None,
            write_timeout=WRITE_WITHIN_S,
            exclusive=True,
        )
    except serial.SerialException as error:
        if not error.errno:
            raise
        # Its own text says number, reason and path twice; EAGAIN is flock(2)'s for a held lock.
        held = error.errno == errno.EAGAIN
        why = "locked, another program has it open" if held else os.strerror(error.errno)
        raise LinkLost(f"{path}: {why}") from None
    return _SerialPort(path, port)


class _SerialPort:
    """pyserial's errors are OSErrors, as is what it lets through when a device vanishes."""

    def __init__(self, path: str, port: serial.Serial) -> None:
        self._path = path
        self._port = port

    def read(self) -> bytes:
        return self._port.read(self._port.in_waiting or 1)

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except serial.SerialTimeoutException:
            raise LinkLost(f"{self._path}: the line takes no bytes (handshake?)") from None

    def wake(self) -> None:
        self._port.cancel_read()
        self._port.cancel_write()

    def give_up(self) -> None:
        self._port.cancel_write()

    def close(self) -> None:
        self._port.close()
