"""A prior in closed form for sounds that repeat one period: its parameter grid, inference, learning, tuning."""
