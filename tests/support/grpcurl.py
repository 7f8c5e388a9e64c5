"""grpcurl, as installed on this machine, or built by Go."""

import os
import shutil
import subprocess

import pytest

from tests.support.processes import REPOSITORY

MODULE = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"
BIN = REPOSITORY / "build/bin"

# Go downloads and compiles some 40 modules, which takes a minute on two idle cores.
BUILT_WITHIN_S = 500


def path_with_grpcurl() -> str:
    """Return a PATH that has grpcurl, if necessary with build/bin, where Go builds it."""
    path = os.environ.get("PATH", os.defpath)
    if not shutil.which("grpcurl", path=path):
        path = f"{BIN}{os.pathsep}{path}"
    if not shutil.which("grpcurl", path=path):
        _build()
    return path


def _build() -> None:
    if not shutil.which("go"):
        pytest.skip("neither grpcurl nor a go to build it with is on PATH")
    built = subprocess.run(
        ["go", "install", MODULE],
        env={**os.environ, "GOBIN": str(BIN)},
        capture_output=True,
        text=True,
        timeout=BUILT_WITHIN_S,
        check=False,
    )
    if built.returncode != 0:
        why = built.stderr.splitlines()[-1]
        pytest.skip(f"grpcurl isn't on PATH, and go couldn't build {MODULE}: {why}")
