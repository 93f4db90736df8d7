"""What is timed of tfsep: cases that a worker in tfsep's own environment makes."""
