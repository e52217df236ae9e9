"""The wheel carries what the package needs, and the properties are found wherever it is."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.paths import properties_dir

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, **kwargs) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel, built offline from a copy of the sources so that the checkout stays clean."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("recbole_intent", "properties"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", out)
    run(sys.executable, "-m", "pip", "wheel", *options, source)
    (path,) = out.glob("*.whl")
    return path


def test_wheel_carries_the_properties(wheel):
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".yaml")}
    expected = {
        f"recbole_intent/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "properties").rglob("*.yaml")
    }
    assert expected
    assert carried == expected


def test_wheel_carries_the_whole_package(wheel):
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    expected = {p.relative_to(ROOT).as_posix() for p in (ROOT / "recbole_intent").rglob("*.py")}
    assert carried == expected


def test_wheel_carries_the_prompts(wheel):
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".md")}
    prompts = (ROOT / "recbole_intent" / "enrich" / "prompts").glob("*.md")
    assert carried == {path.relative_to(ROOT).as_posix() for path in prompts} != set()


def test_wheel_has_the_console_script(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    scripts = configparser.ConfigParser()
    scripts.read_string(archive.read(name).decode())
    assert scripts["console_scripts"]["recbole_intent"] == "recbole_intent.cli.main:main"


def test_installed_wheel_finds_its_properties(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", site, wheel)
    code = "import recbole_intent.utils.paths as paths; print(paths.properties_dir())"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    found = Path(run(sys.executable, "-c", code, cwd=elsewhere, env=environment).strip())
    assert found == (site / "recbole_intent" / "properties").resolve()
    assert sorted(p.name for p in found.glob("dataset/*.yaml")) == sorted(
        p.name for p in ROOT.glob("properties/dataset/*.yaml")
    )


def test_checkout_finds_its_properties():
    assert properties_dir() == ROOT / "properties"


def test_properties_inside_the_package_come_first(tmp_path):
    package = tmp_path / "recbole_intent"
    (tmp_path / "properties" / "model").mkdir(parents=True)
    assert properties_dir(package) == tmp_path / "properties"
    (package / "properties" / "model").mkdir(parents=True)
    assert properties_dir(package) == package / "properties"


def test_no_properties_is_said(tmp_path):
    (tmp_path / "properties").mkdir()  # of someone else: it has no model folder
    with pytest.raises(UserError, match=r"no properties folder in .*install recbole_intent again"):
        properties_dir(tmp_path / "recbole_intent")
