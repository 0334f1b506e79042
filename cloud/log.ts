/** One JSON line per event on stderr: what CloudWatch indexes, and what `ps-submit logs` shows. */
export function log(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`);
}
