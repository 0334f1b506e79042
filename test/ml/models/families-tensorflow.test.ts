import { testFamilies } from "./families-on.ts";

await testFamilies("tensorflow");
