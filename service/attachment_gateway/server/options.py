"""The options of the gRPC server."""

from attachment_gateway.settings import Settings

# The most bytes of a call's metadata, and so of its token. Tokens of Entra have some thousand
# characters; the default of gRPC's servers is 8 KiB.
MAX_METADATA_BYTES = 32 * 1024

# A connection is pinged every PING_EVERY_S, and closed if a ping isn't answered within
# PING_ANSWERED_WITHIN_S. A caller may ping once in PINGED_AT_MOST_EVERY_S.
PING_EVERY_S = 60
PING_ANSWERED_WITHIN_S = 20
PINGED_AT_MOST_EVERY_S = 10


def server_options(settings: Settings, *, share_port: bool) -> list[tuple[str, int]]:
    """Return the options by their names in gRPC's core."""
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        # Messages are decompressed when memory is reserved for them: see rpc.compression.
        ("grpc.per_message_decompression", 0),
        # Behind our own limits, which tell callers more.
        ("grpc.max_concurrent_streams", settings.max_calls),
        ("grpc.max_allowed_incoming_connections", 2 * settings.max_connections),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.keepalive_time_ms", PING_EVERY_S * 1000),
        ("grpc.keepalive_timeout_ms", PING_ANSWERED_WITHIN_S * 1000),
        ("grpc.http2.min_ping_interval_without_data_ms", PINGED_AT_MOST_EVERY_S * 1000),
        # Otherwise gRPC enlarges the windows, and the waiting uploads fill the memory.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", settings.stream_window_bytes),
        # By default a second gateway on the same port would get some of the calls without an error.
        ("grpc.so_reuseport", int(share_port)),
        *_age(settings.connection_age_s),
    ]


def _age(connection_age_s: float) -> list[tuple[str, int]]:
    """Return the option that closes a connection at this age, after its calls have ended."""
    return (
        [("grpc.max_connection_age_ms", round(connection_age_s * 1000))] if connection_age_s else []
    )
