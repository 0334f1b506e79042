import { contract } from "./contract.ts";
import { openEmbedded } from "./endpoint.ts";

await contract(await openEmbedded());
