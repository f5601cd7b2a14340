// node's side of the network bench.
//
//     node echo_peer.js echo
//     node echo_peer.js short PORT COUNT
"use strict";
const net = require("node:net");

const MESSAGE = 64, AT_ONCE = 50, LIMIT_MS = 5000;

function serve() {
  const server = net.createServer({ noDelay: true }, (connection) => {
    connection.on("data", (data) => connection.write(data));
    connection.on("error", () => connection.destroy());
  });
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 },
    () => console.log("port", server.address().port));
}

function request(port, ended) {
  const message = Buffer.alloc(MESSAGE);
  message.write("a short connection");
  const connection = net.connect({ port, host: "127.0.0.1", noDelay: true });
  const limit = setTimeout(() => connection.destroy(new Error("a limit has passed")), LIMIT_MS);
  let answer = Buffer.alloc(0);
  connection.on("connect", () => connection.write(message));
  connection.on("data", (data) => {
    answer = answer.length > 0 ? Buffer.concat([answer, data]) : data;
    if (answer.length < MESSAGE)
      return;
    if (!answer.equals(message))
      throw new Error("the answer is another");
    clearTimeout(limit);
    connection.destroy();
  });
  connection.on("close", ended);
}

function requestAll(port, count) {
  const began = process.cpuUsage();
  let toStart = count, toEnd = count;
  const start = () => {
    toStart--;
    request(port, () => {
      toEnd--;
      if (toStart > 0)
        start();
      else if (toEnd === 0) {
        const used = process.cpuUsage(began);
        console.log("short_ns", ((used.user + used.system) * 1000 / count).toFixed(1));
      }
    });
  };
  for (let i = 0; i < AT_ONCE && toStart > 0; i++)
    start();
}

if (process.argv[2] === "echo")
  serve();
else
  requestAll(Number(process.argv[3]), Number(process.argv[4]));
