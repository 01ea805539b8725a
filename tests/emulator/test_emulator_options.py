"""What every emulator can be told: the same options, whichever the vendor."""

import inspect
from datetime import UTC, datetime
from typing import Any, get_type_hints

import pytest

from otaclient.emulator import EmulatorOptions, EmulatorServer, FaultPlan, Fleet, JobPlan, ManualClock
from otaclient_enos.emulator import EnosEmulator
from otaclient_iotda.emulator import IotdaEmulator

EMULATORS: tuple[type[EnosEmulator | IotdaEmulator], ...] = (EnosEmulator, IotdaEmulator)


def test_the_options_are_those_of_the_server() -> None:
    """By name and type: nothing that the server takes is out of reach, and nothing is offered that it refuses."""
    hints = get_type_hints(EmulatorServer.__init__)
    taken = {
        name: hints[name]
        for name, parameter in inspect.signature(EmulatorServer.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert get_type_hints(EmulatorOptions) == taken


@pytest.mark.parametrize("emulator_class", EMULATORS)
def test_every_vendor_passes_them_on(emulator_class: type[EnosEmulator | IotdaEmulator]) -> None:
    """Each option arrives."""
    clock, plan, faults = ManualClock(datetime(2026, 1, 2, tzinfo=UTC)), JobPlan(speed=5), FaultPlan(seed=3)
    emulator = emulator_class(
        Fleet.generate(devices=5),
        host="localhost",
        clock=clock,
        compress=False,
        plan=plan,
        read_lag_seconds=2.0,
        fault_plan=faults,
        control=True,
    )
    assert (emulator.host, emulator.clock, emulator.compress) == ("localhost", clock, False)
    assert (emulator.engine.plan, emulator.read_lag_seconds) == (plan, 2.0)
    assert (emulator.fault_plan, emulator.control) == (faults, True)


@pytest.mark.parametrize("emulator_class", EMULATORS)
def test_an_option_that_does_not_exist_is_named(emulator_class: Any) -> None:
    """As for any function."""
    with pytest.raises(TypeError, match="prot"):
        emulator_class(Fleet.generate(devices=5), prot=8080)
