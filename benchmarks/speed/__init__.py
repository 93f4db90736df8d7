"""Speed and memory of training, sampling and separation beside named peers."""
