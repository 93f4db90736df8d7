"""Packaging entry for tools that still ask for one; everything is declared in setup.cfg."""

from setuptools import setup

setup()
