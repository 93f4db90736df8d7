"""What ``bin/train`` runs: priors and posteriors trained and written as a model, fine-tuned, or added to one."""
