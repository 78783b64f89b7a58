"""This package runs workloads: setup, machine, clock, and the switches of the process."""
