import { testGpt2Gradient } from "./gpt2-gradient.ts";

await testGpt2Gradient("wasm");
