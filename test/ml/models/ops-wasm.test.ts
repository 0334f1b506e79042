import { testOps } from "./ops-gradients.ts";

await testOps("wasm");
