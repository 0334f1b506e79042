import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { nativeStatus } from "../../scripts/native.mjs";
import { packageDirectory } from "../targets/paths.ts";
import { exitCodes } from "../terminal/exit.ts";

/** `ps-submit setup`: does what npm's install script does, for those whose npm runs none. */
export async function setup(): Promise<number> {
  const installer = join(packageDirectory(), "scripts", "install.mjs");
  const child = spawn(process.execPath, [installer], { stdio: "inherit" });
  const [code] = await once(child, "exit");
  if (code !== 0) return code ?? exitCodes.interrupted;
  return nativeStatus().available ? exitCodes.succeeded : exitCodes.environment;
}
