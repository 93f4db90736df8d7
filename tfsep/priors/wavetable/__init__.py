"""A prior in closed form for sounds that repeat one period: the prior, its grid, inference, learning and tuning."""
