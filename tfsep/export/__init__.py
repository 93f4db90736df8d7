"""Export: models as SavedModels that run where tfsep is not installed."""
