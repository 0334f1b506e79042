/** An instruction of a Dockerfile: its name in capitals, and the rest of its line. */
export type Instruction = { readonly name: string; readonly text: string };

/** The instructions of a Dockerfile, line continuations joined and comments left out. */
export function parseDockerfile(text: string): Instruction[] {
  const lines = text.replaceAll(/\\\n\s*/g, "").split("\n");
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [name = "", ...rest] = line.split(/\s+/);
      return { name: name.toUpperCase(), text: rest.join(" ") };
    });
}

/** The instructions of each stage, from its FROM on. */
export function stagesOf(instructions: readonly Instruction[]): Instruction[][] {
  const stages: Instruction[][] = [];
  for (const instruction of instructions) {
    if (instruction.name === "FROM") stages.push([]);
    stages.at(-1)?.push(instruction);
  }
  return stages;
}
