"""A server for those who wait: /stall never answers, /drip sends a byte a second, and
/after/MS answers after so many milliseconds.

    slow_server.py PORT
"""
import asyncio
import sys


async def answer(path, writer):
    path, _, _ = path.partition("?")
    if path == "/stall":
        await asyncio.sleep(3600)
    if path.startswith("/after/"):
        await asyncio.sleep(int(path.split("/")[2]) / 1000)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhere\n")
        return
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(1)


async def serve(reader, writer):
    try:
        while request := await reader.readline():
            while (await reader.readline()).strip():
                pass
            await answer(request.split()[1].decode(), writer)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    async with server:
        await server.serve_forever()


asyncio.run(main())
