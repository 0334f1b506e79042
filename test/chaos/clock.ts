/**
 * Preloaded (`--import`) into a process: its wall clock jumps, as `PS_CLOCK=1700000000000;500:3600000,900:-60000` says:
 * 500 ms after that time an hour forward, 900 ms after it a minute back. The steady clock (`performance.now`, timers)
 * goes on as it was. The code under test knows nothing of it.
 */
export type Jump = { readonly afterMs: number; readonly byMs: number };

/** Returns the variable that makes a process's clock jump. */
export function clockVariable(start: number, jumps: readonly Jump[]): string {
  return `${start};${jumps.map(({ afterMs, byMs }) => `${afterMs}:${byMs}`).join(",")}`;
}

function parse(text: string): { start: number; jumps: Jump[] } {
  const [start, list = ""] = text.split(";");
  const jumps = list.split(",").map((jump) => {
    const [afterMs, byMs] = jump.split(":").map(Number);
    if (afterMs === undefined || byMs === undefined) throw new Error(`PS_CLOCK: not a jump: ${jump}`);
    return { afterMs, byMs };
  });
  return { start: Number(start), jumps };
}

function install({ start, jumps }: ReturnType<typeof parse>): void {
  const real = Date.now;
  const now = () => {
    const time = real();
    return jumps.reduce((sum, { afterMs, byMs }) => (time >= start + afterMs ? sum + byMs : sum), time);
  };
  const jumping: ProxyHandler<DateConstructor> = {
    get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
    construct: (target, values) => Reflect.construct(target, values.length === 0 ? [now()] : values),
  };
  globalThis.Date = new Proxy(Date, jumping);
}

const text = process.env.PS_CLOCK ?? "";
if (text !== "") install(parse(text));
