"""The entry point of the command line."""

import os

# gRPC's core writes to standard error what it thinks of its peers, in its own format, and the bytes
# that they sent. It reads this once, when grpc is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

# A process that is started without standard input, output or error gives their descriptors to the
# first files that it opens. What libraries write to standard error would then go to a peer.
while (_descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
    pass
os.close(_descriptor)

from attachment_gateway.cli import main  # noqa: E402 what is above comes first

if __name__ == "__main__":
    main()
