import { testDecoders } from "./decoder-cases.ts";

await testDecoders("wasm");
