// The first import of the program. The allocator gives freed memory back to the system at once, and an exchange pays
// for getting it again: a quarter of what it costs. How long memory is kept is read from the environment when a process
// begins, so one that is going to serve begins once more, in the same place and with the same id. Here, where nothing
// else has been loaded, that takes some milliseconds.

/** How long freed memory is kept, in milliseconds; -1 is for ever. Whoever has set it has the last word. */
const SETTING = "MIMALLOC_PURGE_DELAY";

const args = process.argv.slice(2);
const [command = "serve"] = args;
const serves = command === "serve" || command.startsWith("-");
if (serves && process.env[SETTING] === undefined && process.execve !== undefined) {
  try {
    process.execve(process.execPath, [process.argv0, ...args], { ...process.env, [SETTING]: "-1" });
  } catch {
    // It serves all the same, at the price.
  }
}
