"""Health and reflection, which every gRPC server is asked for."""

from importlib.resources import files

import grpc.aio
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from graphattachments.v1 import attachment_service_pb2

SERVICE = attachment_service_pb2.DESCRIPTOR.services_by_name["AttachmentService"].full_name

# The contract with its JSON names, which generated code doesn't keep, and Google's error details.
DESCRIPTORS = files("graphattachments.v1") / "graphattachments.protoset"


async def add_health(server: grpc.aio.Server) -> health.aio.HealthServicer:
    """Add grpc.health.v1; the whole and the service are SERVING."""
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name in (health.OVERALL_HEALTH, SERVICE):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    return servicer


def add_reflection(server: grpc.aio.Server) -> None:
    """Add reflection, by which clients need no proto files."""
    reflection.enable_server_reflection(
        (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server, pool=_reflected()
    )


def _reflected() -> DescriptorPool:
    """Return what reflection tells: by it, too, a field's JSON name is its name in Graph."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        pool.Add(file)
    for module in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    return pool
