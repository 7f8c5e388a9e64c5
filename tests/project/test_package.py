"""The package: what is in the wheel, that it runs where it is installed, and what it asks for."""

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

# Building takes a second or two, on an idle machine.
PIP_WITHIN_S = 100


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as pip builds it."""
    place = tmp_path_factory.mktemp("wheel")
    build = ("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place))
    run(*PIP, *build, str(REPOSITORY))
    [wheel] = place.iterdir()
    return wheel


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that it is installed in."""
    site = tmp_path_factory.mktemp("site")
    run(*PIP, "install", "--no-index", "--no-deps", "--target", str(site), str(wheel))
    return site


@pytest.fixture(scope="module")
def installed(site: Path) -> Distribution:
    """The distribution that is installed there."""
    [distribution] = distributions(path=[str(site)])
    return distribution


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=PIP_WITHIN_S)


def python(site: Path) -> dict[str, object]:
    """Options for a Python that finds our package there alone.

    With -S it reads no .pth file, so the checkout that the tests run in isn't found.
    """
    others = sysconfig.get_paths()
    path = ":".join((str(site), others["purelib"], others["platlib"]))
    return {"cwd": site.parent, "env": {**os.environ, "PYTHONPATH": path}}


def output_of(site: Path, *arguments: str) -> str:
    """Run that Python and return what it prints."""
    with program(sys.executable, "-S", *arguments, **python(site)) as process:
        code, output, errors = ended(process)
    assert (code, errors) == (0, "")
    return output


# The wheel.


def test_what_is_in_the_wheel(wheel: Path) -> None:
    """The gateway, the local Graph and the contract: all of their files and nothing else."""
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
def test_what_is_no_python_is_in_the_wheel_too(wheel: Path, name: str) -> None:
    """Types for those who call it from Python, descriptors for those who call it otherwise."""
    with ZipFile(wheel) as archive:
        assert name in archive.namelist()


def test_the_licence(installed: Distribution) -> None:
    """It is named and it is there."""
    assert installed.metadata["License-Expression"] == "Apache-2.0"
    assert installed.metadata.get_all("License-File") == ["LICENSE"]
    assert installed.read_text("licenses/LICENSE") == (REPOSITORY / "LICENSE").read_text()


def test_what_it_requires(installed: Distribution) -> None:
    """What a caller needs, and by extras what serving and the local Graph need beside it."""
    requires = [Requirement(each) for each in installed.requires or ()]
    base = {each.name for each in requires if each.marker is None}
    assert base == {
        *("grpcio", "protobuf", "grpcio-status", "googleapis-common-protos", "click"),
    }
    assert installed.metadata.get_all("Provides-Extra") == ["emulator", "server"]
    for extra, wanted in EXTRAS.items():
        found = {each.name for each in requires if f'extra == "{extra}"' in str(each.marker)}
        assert found == {Requirement(each).name for each in wanted}


def test_the_console_script(installed: Distribution, site: Path) -> None:
    """It is the same command line as `python -m attachment_gateway`."""
    assert [(each.group, each.name, each.value) for each in installed.entry_points] == [
        ("console_scripts", "attachment-gateway", "attachment_gateway.__main__:main")
    ]
    script = str(site / "bin/attachment-gateway")
    version = PROJECT["version"]
    assert output_of(site, script, "--version") == f"attachment-gateway, version {version}\n"


# Where it is installed.


def test_it_is_the_installed_one_that_runs(site: Path) -> None:
    """So the tests below are of the wheel."""
    code = (
        "import attachment_gateway, graph_emulator, graphattachments as contract;"
        "print(*attachment_gateway.__path__, *graph_emulator.__path__, *contract.__path__)"
    )
    assert output_of(site, "-c", code).split() == [
        str(site / name) for name in ("attachment_gateway", "graph_emulator", "graphattachments")
    ]


def test_it_says_its_version(site: Path) -> None:
    """As pyproject.toml has it."""
    said = output_of(site, "-m", "attachment_gateway", "--version")
    assert said == f"python -m attachment_gateway, version {PROJECT['version']}\n"


@pytest.mark.parametrize(
    "command",
    [
        ("serve", "--listen", "127.0.0.1:0", "--graph-url", "http://127.0.0.1:9"),
        ("emulator",),
    ],
    ids=["serve", "emulator"],
)
def test_it_starts_and_ends(site: Path, command: tuple[str, ...]) -> None:
    """It says where it listens, and that it does, and SIGTERM is a good end."""
    module = (sys.executable, "-S", "-m", "attachment_gateway")
    with program(*module, *command, **python(site)) as process:
        lines_until(r"listening on 127\.0\.0\.1:[1-9]\d*", process)
        process.terminate()
        code, output, _ = ended(process)
        assert (code, output) == (0, "")
        assert not left_behind(process)


def test_the_gateway_imports_nothing_of_the_local_graph(site: Path) -> None:
    """It is an extra, and an operator's gateway doesn't have it."""
    code = "import sys, attachment_gateway.cli.serve; print(*sys.modules, sep='\\n')"
    imported = output_of(site, "-c", code).splitlines()
    assert "attachment_gateway.server.gateway" in imported
    assert not {"graph_emulator", "starlette", "uvicorn"} & set(imported)


# What it asks for.


def least(name: str) -> Version:
    """The lowest version of a dependency that pyproject.toml allows."""
    requirements = {each.name: each for each in map(Requirement, PROJECT["dependencies"])}
    [bound] = [each for each in requirements[name].specifier if each.operator == ">="]
    return Version(bound.version)


VERSION_OF_STUBS = re.compile(r"GRPC_GENERATED_VERSION = '(.+)'")
VERSION_OF_MODULES = re.compile(
    r"ValidateProtobufRuntimeVersion\(\s*\S+PUBLIC,\s*(\d+),\s*(\d+),\s*(\d+),\s*'',"
)


def test_grpcio_is_as_new_as_the_generated_code_wants() -> None:
    """It refuses to be imported with an older one."""
    stubs = [path.read_text() for path in GENERATED.glob("*_pb2_grpc.py")]
    [wanted] = {version for stub in stubs for version in VERSION_OF_STUBS.findall(stub)}
    assert least("grpcio") >= Version(wanted)


def test_protobuf_is_as_new_as_the_generated_code_wants() -> None:
    """It refuses to be imported with an older one."""
    modules = [path.read_text() for path in GENERATED.glob("*_pb2.py")]
    [wanted] = {version for module in modules for version in VERSION_OF_MODULES.findall(module)}
    assert least("protobuf") >= Version(".".join(wanted))


TABLES = {"dependencies": PROJECT["dependencies"], **EXTRAS}


@pytest.mark.parametrize("table", TABLES)
def test_every_dependency_has_its_reason_beside_it(table: str) -> None:
    """A line is a requirement and a comment."""
    lines = PYPROJECT.split(f"\n{table} = [\n")[1].split("\n]")[0].splitlines()
    assert len(lines) == len(TABLES[table])
    assert [line for line in lines if not re.fullmatch(r'    "[^"]+", +# \w.+', line)] == []


def locked(lock: str) -> list[str]:
    """The requirements of a lock, each as one line with its hashes, without comments."""
    text = (REPOSITORY / "requirements" / lock).read_text()
    lines = text.replace("\\\n", "").splitlines()
    return [line for line in lines if not line.lstrip().startswith("#")]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_versions_and_hashes_and_nothing_else(lock: str) -> None:
    """No URL and no option: where packages come from is the business of whoever installs them."""
    requirement = r"[a-z0-9-]+(\[[a-z,]+\])?==\S+( ; [^\\#]+?)?( +--hash=sha256:[0-9a-f]{64})+"
    assert [line for line in locked(lock) if not re.fullmatch(requirement, line)] == []
    assert "://" not in (REPOSITORY / "requirements" / lock).read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_pyproject_asks_for(lock: str) -> None:
    """Each dependency, the extra's too, at a version within its bounds."""
    pins = dict(line.split()[0].split("==") for line in locked(lock))
    for asked in map(Requirement, chain(*TABLES.values())):
        assert Version(pins[asked.name]) in asked.specifier
