"""What the library costs and how fast it is, against its peers and a bare read loop: ``python -m benchmarks``."""
