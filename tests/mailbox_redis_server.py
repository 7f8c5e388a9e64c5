"""A Redis of its own for the tests of mailboxes."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def redis_server() -> Iterator[str]:
    """Start a Redis on a unix socket; its URL."""
    binary = shutil.which("redis-server")
    assert binary is not None
    with TemporaryDirectory(prefix="redis-") as directory:
        socket = Path(directory, "socket")
        arguments = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", directory]
        with subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL) as process:
            while not socket.exists():
                assert process.poll() is None
                time.sleep(0.01)
            try:
                yield f"unix://{socket}"
            finally:
                process.terminate()
