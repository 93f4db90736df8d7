"""The study of priors behind ``bin/prior-test``: whether each prior discriminates its source from the others."""
