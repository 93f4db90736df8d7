"""The same models in PyTorch, as its users write them; a worker in an environment with torch makes these cases."""
