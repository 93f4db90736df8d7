"""Music with isolated stems made from notes, behind ``bin/render``: melodies, drum kits, synthesisers, singing."""
