"""The vendor-neutral half of the emulators: a simulated fleet, jobs that run, a clock, faults and the HTTP server."""

from otaclient.emulator.churn import Burst, Churn
from otaclient.emulator.clock import Clock, ManualClock, SystemClock
from otaclient.emulator.devices import DeviceTable
from otaclient.emulator.engine import JobEngine, JobOrder
from otaclient.emulator.fault_plan import (
    AnswerFault,
    CutFault,
    DelayFault,
    DripFault,
    DropFault,
    ExpireTokensFault,
    FailFault,
    FaultPlan,
    LoseFault,
    PlannedFault,
    ThrottleFault,
)
from otaclient.emulator.faults import AtOnce, Capacity, FaultQueue, Hold, PerSecond, Queueing
from otaclient.emulator.fleet import Fleet
from otaclient.emulator.latency import Constant, LatencyTable, Lognormal, Uniform
from otaclient.emulator.plan import JobPlan
from otaclient.emulator.planned_capacity import AtOnceCapacity, PerSecondCapacity, QueueingCapacity
from otaclient.emulator.planned_fleet import BurstTable, ChurnTable, JobTable
from otaclient.emulator.records import FirmwareRecord, JobRecord, Product
from otaclient.emulator.remarks import Remark
from otaclient.emulator.server import EmulatorOptions, EmulatorServer
from otaclient.emulator.shapes import DocumentError
from otaclient.emulator.store import FirmwareOrder, FirmwareStore
from otaclient.emulator.watch import DeviceWatch

__all__ = [
    "AnswerFault",
    "AtOnce",
    "AtOnceCapacity",
    "Burst",
    "BurstTable",
    "Capacity",
    "Churn",
    "ChurnTable",
    "Clock",
    "Constant",
    "CutFault",
    "DelayFault",
    "DeviceTable",
    "DeviceWatch",
    "DocumentError",
    "DripFault",
    "DropFault",
    "EmulatorOptions",
    "EmulatorServer",
    "ExpireTokensFault",
    "FailFault",
    "FaultPlan",
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
    "JobTable",
    "LatencyTable",
    "Lognormal",
    "LoseFault",
    "ManualClock",
    "PerSecond",
    "PerSecondCapacity",
    "PlannedFault",
    "Product",
    "Queueing",
    "QueueingCapacity",
    "Remark",
    "SystemClock",
    "ThrottleFault",
    "Uniform",
]
