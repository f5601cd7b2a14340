"""asyncio's and uvloop's side of the network bench.

    echo_peer.py asyncio|uvloop echo
    echo_peer.py asyncio|uvloop short PORT COUNT

The server is a protocol, which is what asyncio is fastest with; the client uses streams
and asyncio.timeout, as one writes it.
"""
import asyncio
import resource
import socket
import sys
import time

MESSAGE, AT_ONCE, LIMIT = 64, 50, 5


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def serve():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def request(port):
    message = b"a short connection".ljust(MESSAGE, b"\0")
    async with asyncio.timeout(LIMIT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, family=socket.AF_INET)
        writer.write(message)
        answer = await reader.readexactly(MESSAGE)
        writer.close()
        await writer.wait_closed()
    if answer != message:
        sys.exit("the answer is another")


async def request_all(port, count):
    slots = asyncio.Semaphore(AT_ONCE)

    async def one():
        await request(port)
        slots.release()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            await slots.acquire()
            group.create_task(one())


def main():
    loop, what = sys.argv[1:3]
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if loop == "uvloop":
        import uvloop
        uvloop.install()
    if what == "echo":
        asyncio.run(serve())
    port, count = map(int, sys.argv[3:5])
    began = time.process_time_ns()
    asyncio.run(request_all(port, count))
    print(f"short_ns {(time.process_time_ns() - began) / count:.1f}")


main()
