"""The instrument's side of the same codec: what it remembers, and what it refuses.

Own faults: `bad-sum[@STEP[#N]]` and `error@STEP:CODE`. Steps are verbs.
"""

from dataclasses import replace

from readerd.driver.chemistry import reported
from readerd.driver.virtual import Emission, FaultPlan, Twin, TwinSetup, with_faults
from readerd.errors import GarbledReply, InputError, Mistake
from readerd.plate import FORMATS
from readerd_sim.codec import DECIMALS, LIMIT_OD, Answer, Command, well_line
from readerd_sim.reader import LONGEST_SHAKE_S, MODEL, RANGE_NM

OWN_FAULTS = ("bad-sum", "error")
UNKNOWN, OUT, IMPOSSIBLE, LAMP = 1, 2, 3, 4
ERRORS = {
    UNKNOWN: "unknown question",
    OUT: "the carrier is out",
    IMPOSSIBLE: "not possible on this plate",
    LAMP: "the lamp does not burn",
}
ANSWER_S, CARRIER_S, READ_S = 0.01, 2.0, 1.5


def twin(setup: TwinSetup) -> Twin:
    """A simulated reader behind a line with the setup's faults; InputError when it is wrong."""
    if setup.options or setup.filters_nm is not None:
        raise InputError("twin", Mistake("", "this reader has no options and any wavelength"))
    return with_faults(SimTwin(setup), setup.faults, own=OWN_FAULTS)


class SimTwin:
    """Remembers where its carrier is."""

    def __init__(self, setup: TwinSetup) -> None:
        self._chemistry = setup.chemistry
        self._plan = FaultPlan([fault for fault in setup.faults if fault.kind in OWN_FAULTS])
        self._unread = b""
        self._out = False

    def receive(self, data: bytes, now_s: float) -> list[Emission]:
        *lines, rest = (self._unread + data).split(b"\n")
        self._unread = rest[-256:]
        emissions = []
        for line in lines:
            try:
                emissions.append(self._emission(Command.from_bytes(line + b"\n")))
            except GarbledReply:
                continue  # noise on the line is nobody's question
        return emissions

    def _emission(self, command: Command) -> Emission:
        verb = command.verb
        faults = {fault.kind: fault for fault in self._plan.turn(verb)}
        after_s, answer = self._answer(verb, command.numbers)
        if "error" in faults:
            after_s, answer = ANSWER_S, _error(verb, int(faults["error"].number(UNKNOWN)))
        data = replace(answer, intact="bad-sum" not in faults).to_bytes()
        return Emission(after_s=after_s, data=data, step=verb, replaces=verb == "STOP")

    def _answer(self, verb: str, numbers: tuple[int, ...]) -> tuple[float, Answer]:
        """How long it takes, and what it is."""
        match verb:
            case "WHO":
                return ANSWER_S, Answer(verb, lines=(f"{MODEL};SIM-0001;1.0",))
            case "OUT" | "IN":
                moves, self._out = self._out != (verb == "OUT"), verb == "OUT"
                return CARRIER_S if moves else ANSWER_S, Answer(verb)
            case "STOP":
                return ANSWER_S, Answer(verb)
            case "READ":
                return self._read(*numbers)
        return ANSWER_S, _error(verb, UNKNOWN)

    def _read(
        self, format: int = 0, shake_s: int = 0, *wavelengths_nm: int
    ) -> tuple[float, Answer]:
        if self._out:
            return ANSWER_S, _error("READ", OUT)
        possible = format == self._chemistry.format and shake_s <= LONGEST_SHAKE_S
        if not possible or not all(nm in RANGE_NM for nm in wavelengths_nm):
            return ANSWER_S, _error("READ", IMPOSSIBLE)
        wells = FORMATS[format].wells
        lines = [
            well_line(nm, well, reported(value, DECIMALS, LIMIT_OD))
            for nm in wavelengths_nm
            for well, value in zip(wells, self._chemistry.plate(nm), strict=True)
        ]
        return shake_s + READ_S * len(wavelengths_nm), Answer("READ", lines=tuple(lines))


def _error(verb: str, code: int) -> Answer:
    return Answer(verb, f"error {code} {ERRORS.get(code, 'unknown')}")
