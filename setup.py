"""Packaging entry: it lists the packages, the folders of gin files, models and examples among them.

Everything else is declared in setup.cfg, which cannot add packages to those that it finds.
"""

from setuptools import find_packages, setup

SHARED = ("gin", "models", "examples")

setup(packages=[*find_packages(include=["tfsep", "tfsep.*"]), *(f"tfsep.share.{folder}" for folder in SHARED)])
