"""The study of priors behind ``bin/prior-test``: whether each prior knows its own source from the others."""
