"""What is run and where: setup, machine, clock, and the switches of the process."""
