"""The vendor-neutral half of the emulators: a simulated fleet, jobs that run, a clock, faults and the HTTP server."""

from otaclient.emulator.churn import Burst, Churn
from otaclient.emulator.clock import Clock, ManualClock, SystemClock
from otaclient.emulator.devices import DeviceTable
from otaclient.emulator.engine import JobEngine, JobOrder
from otaclient.emulator.faults import AtOnce, Capacity, FaultQueue, Hold, PerSecond, Queueing
from otaclient.emulator.fleet import FirmwareRecord, Fleet, JobRecord, Product
from otaclient.emulator.plan import JobPlan
from otaclient.emulator.remarks import Remark
from otaclient.emulator.server import EmulatorServer
from otaclient.emulator.store import FirmwareOrder, FirmwareStore
from otaclient.emulator.watch import DeviceWatch

__all__ = [
    "AtOnce",
    "Burst",
    "Capacity",
    "Churn",
    "Clock",
    "DeviceTable",
    "DeviceWatch",
    "EmulatorServer",
    "FaultQueue",
    "FirmwareOrder",
    "FirmwareRecord",
    "FirmwareStore",
    "Fleet",
    "Hold",
    "JobEngine",
    "JobOrder",
    "JobPlan",
    "JobRecord",
    "ManualClock",
    "PerSecond",
    "Product",
    "Queueing",
    "Remark",
    "SystemClock",
]
