"""The examples in the docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import detectors

MODULES = sorted(module.name for module in pkgutil.iter_modules(detectors.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    assert doctest.testmod(importlib.import_module(f"detectors.{name}")).failed == 0


def test_there_are_examples():
    assert sum(doctest.testmod(importlib.import_module(f"detectors.{name}")).attempted for name in MODULES) > 10
