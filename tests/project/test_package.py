"""The package: the wheel's files, running it where it is installed, and its requirements."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.processes import REPOSITORY, ended, left_behind, lines_until, program

PYPROJECT = (REPOSITORY / "pyproject.toml").read_text()
PROJECT = tomllib.loads(PYPROJECT)["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = ("run.txt", "dev.txt")
GENERATED = REPOSITORY / "generated/graphattachments/v1"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")

# Building takes 1 to 2 s on an idle machine.
PIP_WITHIN_S = 100


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by pip."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    run(*PIP, *build, str(REPOSITORY))
    [wheel] = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it."""
    site = tmp_path_factory.mktemp("site")
    run(*PIP, "install", "--no-index", "--no-deps", "--target", str(site), str(wheel))
    return site


@pytest.fixture(scope="module")
def installed(site: Path) -> Distribution:
    """The distribution that is installed in `site`."""
    [distribution] = distributions(path=[str(site)])
    return distribution


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=PIP_WITHIN_S)


def python(site: Path) -> dict[str, object]:
    """Return options for a Python that finds our package in `site` only.

    With -S it reads no .pth file, so it doesn't find the checkout that the tests run in.
    """
    others = sysconfig.get_paths()
    path = ":".join((str(site), others["purelib"], others["platlib"]))
    return {"cwd": site.parent, "env": {**os.environ, "PYTHONPATH": path}}


def output_of(site: Path, *arguments: str) -> str:
    """Run Python with `site` on its path; return what it prints."""
    with program(sys.executable, "-S", *arguments, **python(site)) as process:
        code, output, errors = ended(process)
    assert (code, errors) == (0, "")
    return output


# The wheel.


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    """The wheel has all files of the gateway, the emulator and the contract, and no others."""
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {
        *files_of("service", "attachment_gateway"),
        *files_of("service", "graph_emulator"),
        *files_of("generated", "graphattachments"),
    }


def files_of(root: str, package: str) -> Iterator[str]:
    for path in (REPOSITORY / root / package).rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            yield path.relative_to(REPOSITORY / root).as_posix()


@pytest.mark.parametrize(
    "name",
    [
        "attachment_gateway/py.typed",
        "graphattachments/py.typed",
        "graphattachments/v1/attachment_pb2.pyi",
        "graphattachments/v1/attachment_service_pb2_grpc.pyi",
        "graphattachments/v1/graphattachments.protoset",
    ],
)
def test_the_wheel_has_types_and_descriptors(wheel: Path, name: str) -> None:
    """The wheel has the type stubs and the descriptor set."""
    with ZipFile(wheel) as archive:
        assert name in archive.namelist()


def test_the_licence_is_named_and_included(installed: Distribution) -> None:
    """The licence is named in the metadata and included."""
    assert installed.metadata["License-Expression"] == "Apache-2.0"
    assert installed.metadata.get_all("License-File") == ["LICENSE"]
    assert installed.read_text("licenses/LICENSE") == (REPOSITORY / "LICENSE").read_text()


def test_the_requirements_of_each_extra(installed: Distribution) -> None:
    """The base requirements are those of a caller; each extra has its own."""
    requires = [Requirement(each) for each in installed.requires or ()]
    base = {each.name for each in requires if each.marker is None}
    assert base == {
        *("grpcio", "protobuf", "grpcio-status", "googleapis-common-protos", "click"),
    }
    assert installed.metadata.get_all("Provides-Extra") == ["emulator", "server"]
    for extra, wanted in EXTRAS.items():
        found = {each.name for each in requires if f'extra == "{extra}"' in str(each.marker)}
        assert found == {Requirement(each).name for each in wanted}


def test_the_console_script_runs_the_command_line(installed: Distribution, site: Path) -> None:
    """The console script is the same command line as `python -m attachment_gateway`."""
    assert [(each.group, each.name, each.value) for each in installed.entry_points] == [
        ("console_scripts", "attachment-gateway", "attachment_gateway.__main__:main")
    ]
    script = str(site / "bin/attachment-gateway")
    version = PROJECT["version"]
    assert output_of(site, script, "--version") == f"attachment-gateway, version {version}\n"


# The installed package.


def test_the_installed_package_is_imported(site: Path) -> None:
    """The package that Python imports is the installed one."""
    code = (
        "import attachment_gateway, graph_emulator, graphattachments as contract;"
        "print(*attachment_gateway.__path__, *graph_emulator.__path__, *contract.__path__)"
    )
    assert output_of(site, "-c", code).split() == [
        str(site / name) for name in ("attachment_gateway", "graph_emulator", "graphattachments")
    ]


def test_the_version_is_that_of_pyproject(site: Path) -> None:
    """`--version` prints the version in pyproject.toml."""
    printed = output_of(site, "-m", "attachment_gateway", "--version")
    assert printed == f"python -m attachment_gateway, version {PROJECT['version']}\n"


@pytest.mark.parametrize(
    "command",
    [
        ("serve", "--listen", "127.0.0.1:0", "--graph-url", "http://127.0.0.1:9"),
        ("emulator",),
    ],
    ids=["serve", "emulator"],
)
def test_the_installed_servers_start_and_end(site: Path, command: tuple[str, ...]) -> None:
    """Each server prints its address, and exits with 0 on SIGTERM."""
    module = (sys.executable, "-S", "-m", "attachment_gateway")
    with program(*module, *command, **python(site)) as process:
        lines_until(r"listening on 127\.0\.0\.1:[1-9]\d*", process)
        process.terminate()
        code, output, _ = ended(process)
        assert (code, output) == (0, "")
        assert not left_behind(process)


def test_the_gateway_does_not_import_the_emulator(site: Path) -> None:
    """The gateway doesn't import the emulator, which is an extra."""
    code = "import sys, attachment_gateway.cli.serve; print(*sys.modules, sep='\\n')"
    imported = output_of(site, "-c", code).splitlines()
    assert "attachment_gateway.server.gateway" in imported
    assert not {"graph_emulator", "starlette", "uvicorn"} & set(imported)


# The requirements.


def least(name: str) -> Version:
    """Return the lowest version of a dependency that pyproject.toml allows."""
    requirements = {each.name: each for each in map(Requirement, PROJECT["dependencies"])}
    [bound] = [each for each in requirements[name].specifier if each.operator == ">="]
    return Version(bound.version)


VERSION_OF_STUBS = re.compile(r"GRPC_GENERATED_VERSION = '(.+)'")
VERSION_OF_MODULES = re.compile(
    r"ValidateProtobufRuntimeVersion\(\s*\S+PUBLIC,\s*(\d+),\s*(\d+),\s*(\d+),\s*'',"
)


def test_grpcio_is_new_enough_for_the_generated_code() -> None:
    """The lowest allowed grpcio is new enough for the generated code."""
    stubs = [path.read_text() for path in GENERATED.glob("*_pb2_grpc.py")]
    [wanted] = {version for stub in stubs for version in VERSION_OF_STUBS.findall(stub)}
    assert least("grpcio") >= Version(wanted)


def test_protobuf_is_new_enough_for_the_generated_code() -> None:
    """The lowest allowed protobuf is new enough for the generated code."""
    modules = [path.read_text() for path in GENERATED.glob("*_pb2.py")]
    [wanted] = {version for module in modules for version in VERSION_OF_MODULES.findall(module)}
    assert least("protobuf") >= Version(".".join(wanted))


TABLES = {"dependencies": PROJECT["dependencies"], **EXTRAS}


@pytest.mark.parametrize("table", TABLES)
def test_every_dependency_has_a_comment(table: str) -> None:
    """Each dependency is on a line with a comment."""
    lines = PYPROJECT.split(f"\n{table} = [\n")[1].split("\n]")[0].splitlines()
    assert len(lines) == len(TABLES[table])
    assert [line for line in lines if not re.fullmatch(r'    "[^"]+", +# \w.+', line)] == []


def locked(lock: str) -> list[str]:
    """Return a lock's requirements, each as one line with its hashes, without comments."""
    text = (REPOSITORY / "requirements" / lock).read_text()
    lines = text.replace("\\\n", "").splitlines()
    return [line for line in lines if not line.lstrip().startswith("#")]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_only_versions_and_hashes(lock: str) -> None:
    """A lock has versions and hashes, and neither URLs nor options."""
    requirement = r"[a-z0-9-]+(\[[a-z,]+\])?==\S+( ; [^\\#]+?)?( +--hash=sha256:[0-9a-f]{64})+"
    assert [line for line in locked(lock) if not re.fullmatch(requirement, line)] == []
    assert "://" not in (REPOSITORY / "requirements" / lock).read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_pyproject(lock: str) -> None:
    """A lock has each dependency, the extras' included, at an allowed version."""
    pins = dict(line.split()[0].split("==") for line in locked(lock))
    for asked in map(Requirement, chain(*TABLES.values())):
        assert Version(pins[asked.name]) in asked.specifier
