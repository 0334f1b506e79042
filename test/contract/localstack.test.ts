import { test } from "node:test";
import { localstackOrReason, startLocalstack } from "../support/localstack.ts";
import { contract } from "./contract.ts";
import { endpointAt } from "./endpoint.ts";

const installed = await localstackOrReason();
if (typeof installed === "string") test("the contract on LocalStack", { skip: installed }, () => {});
else {
  const { endpoint, stop } = await startLocalstack(installed);
  await contract(endpointAt(endpoint, "localstack", stop));
}
