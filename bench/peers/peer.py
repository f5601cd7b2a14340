"""The same work as yield.c, spawn.c and tree.c on asyncio's TaskGroup.

    peer.py yield|spawn|tree SIZE
"""
import asyncio
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


MEASURES = {"yield": measure_yield, "spawn": measure_spawn, "tree": measure_tree}
asyncio.run(MEASURES[sys.argv[1]](int(sys.argv[2])))
