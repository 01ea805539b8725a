"""Journey 3: one firmware, and the job that ships it; the same lines for both vendors."""

from support.reader import Reader, expected_of


def test_one_firmware_and_the_jobs_that_ship_it(clouds: Reader) -> None:
    """The loop of the page prints each vendor's own records, and so do the commands."""
    in_code, at_a_terminal = clouds.follow("docs/guides/firmware.md", "Which jobs ship it")
    for vendor in ("enos", "iotda"):
        cloud = expected_of(vendor, devices=2000)
        (firmware,) = [
            each for each in cloud.expected_firmware(vendor) if (each.product_id, each.version) == ("DcxxoPAg", "V3.1")
        ]
        jobs = [job for job in cloud.expected_jobs(vendor) if firmware.firmware_id in job.firmware_ids]
        lines = [f"{vendor} {firmware.firmware_id} V3.1"]
        lines += [f"  shipped by {job.job_id} {job.kind} {job.status}" for job in jobs]
        assert len(jobs) == 2
        assert "\n".join(lines) in in_code
    assert all(job.job_id in at_a_terminal for job in jobs)
