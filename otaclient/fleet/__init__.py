"""Bulk work over the protocols: bounded fan-out and whole-fleet scans."""
