"""What a user would try instead of a model of tfsep, and the bounds that no model of a kind can pass."""
