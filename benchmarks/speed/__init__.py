"""Speed and memory of training, sampling and separation beside the same models in PyTorch."""
