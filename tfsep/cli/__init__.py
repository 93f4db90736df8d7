"""The commands: each module parses its arguments at once and imports TensorFlow only when there is work to do."""
