// The same work in node: promises of async functions, joined by Promise.all. A yield is an await
// of what is there already. It has no channels, no semaphore, no limit on a wait, and nothing
// that cancels.
//
//     node node.mjs WORK SIZE [OF]
import { readFileSync } from "node:fs";

const GROUP = 1000;
const CHILDREN = 10;

function processorTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

function printNs(name, began, operations) {
  console.log(`${name} ${((processorTime() - began) / operations).toFixed(4)}`);
}

function require(done, what) {
  if (!done) {
    console.error(`not measured: ${what}`);
    process.exit(1);
  }
}

function peakKib() {
  const fields = readFileSync("/proc/self/status", "utf8").match(/^Vm(HWM|PTE):\s*\d+/gm);
  return fields.reduce((sum, field) => sum + Number(field.split(/\s+/)[1]), 0);
}

function together(tasks, task) {
  return Promise.all(Array.from({ length: tasks }, (_, i) => task(i)));
}

let done = 0;

async function yielder(rounds) {
  for (let i = 0; i < rounds; i++) {
    await null;
    done++;
  }
}

async function measureYield(rounds, of) {
  const tasks = of || 2;
  const began = processorTime();
  await together(tasks, () => yielder(rounds));
  printNs("yield", began, rounds * tasks);
  require(done === rounds * tasks, "yields");
}

async function leaf() {
  done++;
}

async function groups(name, count, task) {
  const began = processorTime();
  for (let i = 0; i < count; i++) await together(GROUP, task);
  printNs(name, began, count * GROUP);
}

async function spawn(count) {
  await groups("spawn", count, leaf);
  require(done === count * GROUP, "tasks");
}

async function half(count) {
  await groups("half", count, (i) => yielder(i % 2));
  require(done === (count * GROUP) / 2, "tasks");
}

async function blocked(count) {
  const began = processorTime();
  for (let i = 0; i < count; i++) {
    let set;
    const event = new Promise((resolve) => (set = resolve));
    const all = together(GROUP, async () => {
      await event;
      done++;
    });
    require(done === i * GROUP, "all wait");
    set();
    await all;
  }
  printNs("blocked", began, count * GROUP);
  require(done === count * GROUP, "tasks");
}

async function node(first, leaves) {
  if (leaves === 1) return first;
  const step = leaves / CHILDREN;
  const sums = await together(CHILDREN, (i) => node(first + i * step, step));
  return sums.reduce((a, b) => a + b);
}

async function tree(depth) {
  const leaves = CHILDREN ** depth;
  const began = processorTime();
  const sum = await node(0, leaves);
  printNs("tree", began, leaves);
  console.log(`tree_mib ${(peakKib() / 1024).toFixed(4)}`);
  require(sum === (leaves * (leaves - 1)) / 2, "sum");
}

async function sleepers(tasks) {
  const began = processorTime();
  const start = performance.now();
  await together(tasks, (i) => new Promise((resolve) => setTimeout(resolve, 1 + (i % 1000))));
  printNs("sleepers", began, tasks);
  console.log(`sleepers_s ${((performance.now() - start) / 1000).toFixed(4)}`);
  console.log(`sleepers_peak_kib ${(peakKib() / tasks).toFixed(4)}`);
}

const [work, size, of] = process.argv.slice(2);
const works = { yield: measureYield, spawn, half, blocked, tree, sleepers };
require(work in works, "there is no such work here");
await works[work](Number(size), Number(of ?? 0));
