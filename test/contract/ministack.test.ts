import { test } from "node:test";
import { ministackOrReason, startMinistack } from "../support/ministack.ts";
import { contract } from "./contract.ts";
import { endpointAt } from "./endpoint.ts";

const installed = await ministackOrReason();
if (typeof installed === "string") test("the contract on ministack", { skip: installed }, () => {});
else {
  const { endpoint, stop } = await startMinistack(installed);
  await contract(endpointAt(endpoint, "ministack", stop));
}
