import { spawnSync } from "node:child_process";

/** The Python that tests compare with: PS_PYTHON names it. */
export const python = process.env.PS_PYTHON || "python3";

/** False, or why a test that needs these modules of Python can't run. */
export function withoutModules(...modules: readonly string[]): string | false {
  if (spawnSync(python, ["-c", `import ${modules.join(", ")}`]).status === 0) return false;
  return `${python} has no ${modules.join(" and ")}; install it (pip install ${modules.join(" ")}) or set PS_PYTHON`;
}
