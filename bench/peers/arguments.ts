/** The value behind `--port`, which every server of the benchmark takes. */
export function listeningPort(): number {
  const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
  if (!Number.isInteger(port) || port <= 0) {
    throw new Error("Cannot listen: no port is named, --port NUMBER is needed");
  }
  return port;
}
