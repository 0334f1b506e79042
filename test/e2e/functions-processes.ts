import { readdirSync, readFileSync } from "node:fs";

/** Process ids of the containers in which an emulator runs a deployed function; on Linux only. */
export function processesOf(emulator: number, functionName: string): number[] {
  const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return numbers.map(Number).filter((pid) => {
    try {
      const parent = Number(/^\d+ \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);
      const environment = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
      const name = environment.find((entry) => entry.startsWith("AWS_LAMBDA_FUNCTION_NAME="));
      return parent === emulator && (name?.includes(functionName) ?? false);
    } catch {
      // It ended while we looked.
      return false;
    }
  });
}
