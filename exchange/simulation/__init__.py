"""Deterministic simulation: the real consensus, journal, exchange and client code in one process,
on a virtual clock, with simulated network and disks. A seed repeats a run exactly."""
