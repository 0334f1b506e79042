import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";

/** The disk of a trial's data, which can be filled and freed. */
export type Disk = {
  /** Leaves only so many bytes free. */
  fill(leave: number): void;
  free(): void;
  /** Takes the disk away; twice is as good as once. */
  close(): void;
};

const DISK_MIB = 128;

/**
 * Makes a disk of a folder: a small file system of its own where root may mount one. Elsewhere, the emulator's files can't
 * grow past a limit, which it hears of as it does of a full disk.
 *
 * @param emulatorPid finds the running emulator
 */
export function openDisk(folder: string, emulatorPid: () => number | undefined): Disk {
  return mount(folder) ? mountedDisk(folder) : limitedDisk(emulatorPid);
}

function mount(folder: string): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_MIB}m`, "chaos", folder], { stdio: "ignore" });
    return true;
  } catch {
    // Root of a container may not mount.
    return false;
  }
}

function mountedDisk(folder: string): Disk {
  const ballast = join(folder, "ballast");
  let isOpen = true;
  return {
    fill(leave) {
      const { bavail, bsize } = statfsSync(folder);
      const file = openSync(ballast, "a");
      const chunk = Buffer.alloc(64 * 1024, 1);
      try {
        for (let left = bavail * bsize - leave; left > 0; left -= chunk.length)
          writeSync(file, chunk, 0, Math.min(left, chunk.length));
      } catch (error) {
        // Another wrote meanwhile: the disk is full all the same.
        if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(ballast, { force: true }),
    close() {
      // Lazily: the emulator may still run on it.
      if (isOpen) execFileSync("umount", ["-l", folder]);
      isOpen = false;
    },
  };
}

function limitedDisk(emulatorPid: () => number | undefined): Disk {
  const limit = (bytes: string) => {
    const pid = emulatorPid();
    if (pid !== undefined) execFileSync("prlimit", ["--pid", String(pid), `--fsize=${bytes}:unlimited`]);
  };
  return { fill: (leave) => limit(String(leave)), free: () => limit("unlimited"), close() {} };
}
