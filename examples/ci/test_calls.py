"""Every capture in captures/ is a test of its own."""

import pathlib
import subprocess

import pytest

CHECK = ["callflow", "check", "--quiet", "--fail-on", "warning"]


@pytest.mark.parametrize("capture", sorted(pathlib.Path("captures").glob("*.pcap")), ids=str)
def test_calls_are_sound(capture):
    done = subprocess.run([*CHECK, str(capture)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
