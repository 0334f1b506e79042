/** A Python program as pinned packages. */
export interface PythonProgram {
  readonly name: string;
  readonly version: string;
  /** As arguments of pip. */
  readonly packages: readonly string[];
  /** The module that `python -m` runs. */
  readonly module: string;
  readonly oldestPython: readonly [major: number, minor: number];
  /** Its size on disk. */
  readonly megabytes: number;
  /** Settings that it always runs with. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface Installed {
  readonly python: string;
  readonly directory: string;
  readonly module: string;
}

export const MINISTACK: PythonProgram;
export const LOCALSTACK: PythonProgram;

/** Returns the program if it is installed and whole. */
export function findInstalled(program: PythonProgram, root?: string): Installed | undefined;

/** Installs the program unless it is there; throws an Error that says what is missing. */
export function ensureInstalled(program: PythonProgram, root?: string): Promise<Installed>;

/** Returns the command that runs an installed program; `env` goes on top of the process's own. */
export function commandOf(installed: Installed): {
  readonly command: string;
  readonly args: string[];
  readonly env: Record<string, string>;
};
