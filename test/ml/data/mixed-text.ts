/** A text of several chunks with every kind of line end and white space around. */
export function mixedText(): string {
  const lines = [
    "A line.\n",
    "windows\r\n",
    "\n\n",
    "  indented  \n",
    "世界 。\n",
    "it's 12,345\n\n\n",
    "\u3000x\u00a0\n",
  ];
  let text = "";
  for (let i = 0; text.length < 1_700_000; i++) text += `${i * i} ${lines[(i * 7919) % lines.length]}`;
  return text;
}
