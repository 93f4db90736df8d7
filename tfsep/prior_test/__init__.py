"""The study of priors behind ``bin/prior-test``: whether each prior tells its own source from the others."""
