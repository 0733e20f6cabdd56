// What the programs for node share; see measure.lua. Workers are threads there.
const { Worker, isMainThread, parentPort } = require("node:worker_threads");

const scale = Number(process.env.MF_BENCH_SCALE || 1);

exports.size = (n) => Math.max(1, Math.floor(n * scale));

function median(list) {
  list.sort((a, b) => a - b);
  const middle = list.length >> 1;
  return list.length % 2 ? list[middle] : (list[middle - 1] + list[middle]) / 2;
}

async function repeated(f) {
  await f();
  const times = [];
  const last = performance.now() + 500 * scale;
  while (times.length < 3 || performance.now() < last) {
    const begin = performance.now();
    await f();
    times.push((performance.now() - begin) / 1000);
  }
  return median(times);
}

// Runs in the main thread and, as the same file, in the worker, which sends n values when it is told
// to. Prints the values a second.
exports.stream = async function (file, n, make) {
  if (!isMainThread) {
    parentPort.on("message", (count) => {
      for (let i = 0; i < count; i++) parentPort.postMessage(make(i));
    });
    return;
  }
  const worker = new Worker(file);
  const seconds = await repeated(() => new Promise((resolve) => {
    let left = n;
    worker.removeAllListeners("message");
    worker.on("message", () => { if (--left === 0) resolve(); });
    worker.postMessage(n);
  }));
  await worker.terminate();
  console.log(n / seconds);
};
