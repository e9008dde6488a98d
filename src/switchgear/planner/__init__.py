"""What hardware is worth: workloads, simulation in virtual time, money, and the questions that are asked of them."""
