"""What the simulated service refuses, one class for each reason; each vendor answers in its own words and numbers."""

from collections.abc import Sequence

from otaclient.models import JobStatus

__all__ = [
    "EngineRefusal",
    "FirmwareInUseError",
    "JobFinishedError",
    "JobRunningError",
    "JobStartedError",
    "JobStateError",
    "JobStoppedError",
    "MixedFirmwareError",
    "NameExistsError",
    "NoSuchFirmwareError",
    "NoSuchJobError",
    "TaskStateError",
    "TooManyVersionsError",
    "VersionExistsError",
]


class EngineRefusal(Exception):  # noqa: N818 - the root of the errors below, which end in Error
    """The service refuses an operation; nothing has changed."""


class NoSuchFirmwareError(EngineRefusal):
    """There is no firmware with this identifier."""


class VersionExistsError(EngineRefusal):
    """The product has a firmware of this kind and version already."""


class NameExistsError(EngineRefusal):
    """The product has a firmware of this name already."""


class FirmwareInUseError(EngineRefusal):
    """A job with devices yet to upgrade uses the firmware."""


class MixedFirmwareError(EngineRefusal):
    """The firmware of one job is of several kinds or products."""


class TooManyVersionsError(EngineRefusal):
    """The simulated devices cannot report any more different versions."""


class NoSuchJobError(EngineRefusal):
    """There is no job with this identifier."""


class JobStateError(EngineRefusal):
    """The job stands where the operation is not allowed."""

    def __init__(self, job_id: str, status: JobStatus) -> None:
        super().__init__(f"job {job_id} is {status}")
        self.status = status


class JobStartedError(JobStateError):
    """The job is not stopped: it cannot be started."""


class JobStoppedError(JobStateError):
    """The job is stopped already."""


class JobFinishedError(JobStateError):
    """The job has come to its end, or is about to be stopped."""


class JobRunningError(JobStateError):
    """The job has not come to its end: it cannot be deleted."""


class TaskStateError(EngineRefusal):
    """Some of the tasks stand where the operation is not allowed."""

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__(f"tasks {', '.join(map(str, positions[:10]))} stand elsewhere")
        self.positions = tuple(positions)
