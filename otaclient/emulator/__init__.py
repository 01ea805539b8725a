"""The vendor-neutral half of the emulators: a simulated fleet, a clock, faults on demand and the HTTP server."""

from otaclient.emulator.clock import Clock, ManualClock, SystemClock
from otaclient.emulator.devices import DeviceTable
from otaclient.emulator.faults import FaultQueue, Hold
from otaclient.emulator.fleet import FirmwareRecord, Fleet, JobRecord, Product
from otaclient.emulator.server import EmulatorServer

__all__ = [
    "Clock",
    "DeviceTable",
    "EmulatorServer",
    "FaultQueue",
    "FirmwareRecord",
    "Fleet",
    "Hold",
    "JobRecord",
    "ManualClock",
    "Product",
    "SystemClock",
]
