"""Lines that light up, and a bell: what a person sees, second by second in virtual time."""

import asyncio
import errno
import io
from dataclasses import dataclass, field

import pytest

from readerd.edge.button_settings import InputAddress, parse_input
from readerd.edge.lamp import Bell, LampLines
from readerd.errors import LinkLost
from readerd.payload import LampMessage
from tests.virtual_clock import run_virtual


@dataclass
class Chip:
    """Lines that remember when they were lit; without power none can be had."""

    has_power: bool = True
    lit: dict[int, bool] = field(default_factory=dict)
    given_back: list[int] = field(default_factory=list)

    def open_lamp(self, address: InputAddress) -> "ChipLine":
        if not self.has_power:
            raise LinkLost(f"{address.text}: No such device")
        return ChipLine(self, address.line)

    @property
    def on(self) -> list[int]:
        return [number for number, is_lit in self.lit.items() if is_lit]


@dataclass
class ChipLine:
    chip: Chip
    number: int

    def put(self, is_lit: bool) -> None:
        if not self.chip.has_power:
            raise OSError(19, "No such device")
        self.chip.lit[self.number] = is_lit

    def release(self) -> None:
        self.chip.given_back.append(self.number)


ALL = {"amber": 1, "green": 2, "red": 3}
SHOWN = [("amber", "armed"), ("blinking", "reading"), ("green", "done"), ("red", "refused")]


def message(light: str, state: str) -> LampMessage:
    return LampMessage.model_validate({"light": light, "state": state})


def lines(chip: Chip, colours: dict[str, int]) -> LampLines:
    addresses = {name: parse_input(f"gpio:/dev/gpiochip0/{at}") for name, at in colours.items()}
    return LampLines(addresses, chip.open_lamp)


async def seen(lamp: LampLines, chip: Chip, light: str, state: str) -> list[list[int]]:
    """What is lit during two seconds of this."""
    lamp.show(message(light, state))
    found: list[list[int]] = []
    for _ in range(4):
        await asyncio.sleep(0.49 if not found else 0.5)  # virtual
        found.append(chip.on)
    return found


def test_each_light_has_its_line_and_amber_blinks() -> None:
    async def main() -> None:
        chip = Chip()
        lamp = lines(chip, ALL)
        work = asyncio.create_task(lamp.run())
        found = {light: await seen(lamp, chip, light, state) for light, state in SHOWN}
        assert found == {
            "amber": [[1]] * 4,
            "blinking": [[1], [], [1], []],
            "green": [[2]] * 4,
            "red": [[3]] * 4,
        }
        work.cancel()
        await asyncio.wait({work})
        assert (chip.on, chip.given_back) == ([], [1, 2, 3])

    run_virtual(main())


def test_a_single_lamp_blinks_whatever_its_colour() -> None:
    async def main() -> None:
        chip = Chip()
        lamp = lines(chip, {"green": 2})
        work = asyncio.create_task(lamp.run())
        assert await seen(lamp, chip, "blinking", "reading") == [[2], [], [2], []]
        assert await seen(lamp, chip, "amber", "armed") == [[]] * 4
        assert await seen(lamp, chip, "green", "done") == [[2]] * 4
        work.cancel()

    run_virtual(main())


def test_a_chip_that_goes_and_comes_is_told_once_and_used_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        chip = Chip(has_power=False)
        lamp = lines(chip, ALL)
        work = asyncio.create_task(lamp.run())
        assert await seen(lamp, chip, "blinking", "reading") == [[]] * 4
        chip.has_power = True
        assert await seen(lamp, chip, "red", "failed") == [[3]] * 4
        chip.has_power = False
        await seen(lamp, chip, "amber", "armed")
        chip.has_power = True
        assert await seen(lamp, chip, "green", "done") == [[2]] * 4
        assert chip.given_back == [1, 2, 3]  # the lines that had vanished
        assert not work.done()
        work.cancel()

    run_virtual(main())
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert "gpio:/dev/gpiochip0/1" in warnings[0]


def test_the_bell_rings_once_for_good_and_twice_for_bad_news() -> None:
    for light, state in [("dark", "idle"), *SHOWN, ("blinking", "delivering"), ("red", "failed")]:
        terminal = io.StringIO()
        Bell(terminal).show(message(light, state))
        rings = {"armed": 1, "done": 1, "refused": 2, "failed": 2}.get(state, 0)
        assert terminal.getvalue() == "\a" * rings


class Closed(io.StringIO):
    """The terminal's window was closed (tty_ioctl(4): EIO)."""

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_a_bell_on_a_closed_terminal_rings_for_nobody_and_stops_nothing() -> None:
    Bell(Closed()).show(message("green", "done"))
