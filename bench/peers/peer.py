"""The same work as yield.c, spawn.c, tree.c and cancel.c on asyncio's TaskGroup.

    peer.py yield|spawn|tree|cancel|receive SIZE
"""
import asyncio
import socket
import sys
import time

CHILDREN = 10


def print_ns(name, began, operations):
    print(f"{name} {(time.process_time() - began) * 1e9 / operations:.4f}")


async def yielder(rounds):
    for _ in range(rounds):
        await asyncio.sleep(0)


async def measure_yield(rounds):
    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        group.create_task(yielder(rounds), name="ping")
        group.create_task(yielder(rounds), name="pong")
    print_ns("yield", began, 2 * rounds)


async def leaf():
    return 1


async def measure_spawn(groups):
    ran = 0
    began = time.process_time()
    for _ in range(groups):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(leaf(), name="leaf") for _ in range(1000)]
        ran += sum(task.result() for task in tasks)
    print_ns("spawn", began, groups * 1000)
    assert ran == groups * 1000


async def node(first, leaves):
    if leaves == 1:
        return first
    step = leaves // CHILDREN
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node(first + i * step, step), name="node")
                 for i in range(CHILDREN)]
    return sum(task.result() for task in tasks)


async def measure_tree(depth):
    leaves = CHILDREN ** depth
    tasks = (leaves * CHILDREN - 1) // (CHILDREN - 1)
    began = time.process_time()
    total = await node(0, leaves)
    print_ns("tree", began, tasks)
    assert total == leaves * (leaves - 1) // 2


class Waiting:
    """A group whose tasks all wait, until they are cancelled."""

    def __init__(self):
        self.arrived = self.cancelled = 0

    async def task(self, wait):
        self.arrived += 1
        try:
            await wait
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def measure(self, waits):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.task(wait), name="waiting") for wait in waits]
            while self.arrived < len(tasks):
                await asyncio.sleep(0)
            began = time.process_time()
            for task in tasks:
                task.cancel()
            returned = time.process_time()
        print_ns("joined", began, len(tasks))
        print(f"call {(returned - began) * 1e9 / len(tasks):.4f}")
        assert self.cancelled == len(tasks)


async def measure_cancel(tasks):
    event = asyncio.Event()
    await Waiting().measure([asyncio.sleep(3600) if i % 2 else event.wait() for i in range(tasks)])


def connections(count):
    """Nobody has accepted them: as in cancel.c they wait in their listeners."""
    queue, listeners, ends = 1000, [], []
    for i in range(count):
        if i % queue == 0:
            listeners.append(socket.create_server(("127.0.0.1", 0), backlog=queue))
        ends.append(socket.create_connection(listeners[-1].getsockname()))
        ends[-1].setblocking(False)
    return listeners, ends


async def measure_receive(tasks):
    loop = asyncio.get_running_loop()
    listeners, ends = connections(tasks)
    await Waiting().measure([loop.sock_recv(end, 1) for end in ends])
    for end in listeners + ends:
        end.close()


MEASURES = {"yield": measure_yield, "spawn": measure_spawn, "tree": measure_tree,
            "cancel": measure_cancel, "receive": measure_receive}
asyncio.run(MEASURES[sys.argv[1]](int(sys.argv[2])))
