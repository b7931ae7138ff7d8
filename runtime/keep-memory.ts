// The first import of the program. The allocator gives freed memory back to the system at once, and an exchange pays
// for getting it again: a quarter of what it costs. How long memory is kept is read from the environment when a process
// begins, so one that is going to serve begins once more, in the same place and with the same id. Here, where nothing
// else has been loaded, that takes some milliseconds.

/** How long freed memory is kept, and how often parts of larger pieces are looked for, in milliseconds. */
const SETTINGS = { MIMALLOC_PURGE_DELAY: "60000", MIMALLOC_PURGE_HOLES_MIN_INTERVAL: "60000" };

const args = process.argv.slice(2);
const [command = "serve"] = args;
const serves = command === "serve" || command.startsWith("-");
// Whoever has set one has the last word.
const isSet = Object.keys(SETTINGS).some((name) => process.env[name] !== undefined);
if (serves && !isSet && process.execve !== undefined) {
  try {
    process.execve(process.execPath, [process.argv0, ...args], { ...process.env, ...SETTINGS });
  } catch {
    // It serves all the same, at the price.
  }
}
