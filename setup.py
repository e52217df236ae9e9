"""The packages of the wheel; all other metadata stands in pyproject.toml."""

from setuptools import find_packages, setup

# `properties` lies next to the package in a checkout and inside it in a wheel.
setup(
    packages=[
        *find_packages(include=["recbole_intent", "recbole_intent.*"]),
        "recbole_intent.properties",
    ],
    package_dir={"recbole_intent": "recbole_intent", "recbole_intent.properties": "properties"},
)
