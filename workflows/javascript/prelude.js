// Runs once in a fresh context, before anything that people wrote, and hands four things to the host: check, run,
// outcome, and the buffer in which lines of the log wait to be fetched. Nothing of it can be reached from their code,
// and all that it uses later was taken before they could change it.
((global, MOST_LINES, LINE_LENGTH, MOST_OUTPUT) => {
  "use strict";
  const { parse, stringify } = JSON;
  const { apply, deleteProperty, defineProperty } = Reflect;
  const { store, load } = Atomics;
  const then = Promise.prototype.then;
  const resolve = Promise.resolve.bind(Promise);
  const charCodeAt = String.prototype.charCodeAt;
  const slice = String.prototype.slice;
  const text = String;
  const isArray = Array.isArray;
  const NativeError = Error;
  const AsyncFunction = (async () => {}).constructor;
  const length = 256 * 1024;
  const buffer = new SharedArrayBuffer(4 + 2 * length);
  const end = new Int32Array(buffer, 0, 1);
  const units = new Uint16Array(buffer, 4);
  let lines = 0;

  for (const name of ["WebAssembly", "SharedArrayBuffer", "Atomics"]) deleteProperty(global, name);
  for (const name of ["__timer_manager", "setTimeout", "clearTimeout"]) global[name] = undefined;
  global.setTimeout = () => {
    throw new NativeError("There are no timers here. A Delay step waits.");
  };

  const cut = (long, many) => apply(slice, long, [0, many]);
  const described = (value) => {
    if (typeof value === "string") return value;
    if (value === null || typeof value !== "object") return typeof value === "symbol" ? "Symbol" : text(value);
    try {
      if (value instanceof NativeError) return `${value.name}: ${value.message}`;
      return stringify(value) ?? "undefined";
    } catch {
      return isArray(value) ? "[a list]" : "[an object]";
    }
  };
  const write = (level, line) => {
    let at = load(end, 0);
    if (at + line.length + 2 > length) return false;
    units[at++] = level;
    for (let n = 0; n < line.length; n++) units[at++] = apply(charCodeAt, line, [n]) || 0xfffd;
    units[at++] = 0;
    store(end, 0, at);
    return true;
  };
  const log = (level) => (...values) => {
    if (lines > MOST_LINES) return;
    let line = "";
    for (let n = 0; n < values.length && line.length < LINE_LENGTH; n++) line += (n ? " " : "") + described(values[n]);
    if (line.length > LINE_LENGTH) line = cut(line, LINE_LENGTH) + "…";
    if (++lines > MOST_LINES || !write(level, line)) {
      lines = MOST_LINES + 1;
      write(3, "");
    }
  };
  const console = { log: log(1), info: log(1), debug: log(5), warn: log(2), error: log(4) };
  defineProperty(global, "console", { value: console, writable: true, configurable: true });

  let state = "pending";
  let told = "";
  const settle = (made) => {
    told = stringify(made);
    state = typeof told === "string" ? "done" : typeof made === "undefined" ? "nothing" : "no JSON";
    if (state === "done" && told.length > MOST_OUTPUT) {
      state = "large";
      told = "";
    }
  };
  const failed = (reason) => {
    state = "failed";
    const made = { __proto__: null, name: "", message: "", stack: "", is_error: false };
    try {
      if (reason instanceof NativeError) {
        made.is_error = true;
        made.name = cut(text(reason.name), 100);
        made.message = cut(text(reason.message), 2000);
        made.stack = cut(text(reason.stack), 8000);
      } else {
        made.message = cut(described(reason), 2000);
      }
    } catch {
      made.message = "something that cannot be shown";
    }
    told = stringify(made);
  };

  const check = (source) => {
    try {
      new AsyncFunction("data", "input", "now", "key", source);
      return "";
    } catch (error) {
      return `${error.message}`;
    }
  };
  const run = (written, given) => {
    const { data, input, now, key } = parse(given);
    let promise;
    try {
      promise = written(data, input, now, key);
    } catch (error) {
      failed(error);
      return;
    }
    const settled = (made) => {
      try {
        settle(made);
      } catch (error) {
        failed(error);
      }
    };
    apply(then, resolve(promise), [settled, failed]);
  };
  const outcome = () => `${state}\n${told ?? ""}`;
  return [check, run, outcome, buffer];
})
