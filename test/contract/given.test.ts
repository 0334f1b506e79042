import { test } from "node:test";
import { contract } from "./contract.ts";
import { endpointAt, kindOf } from "./endpoint.ts";

const given = process.env.AWS_ENDPOINT_URL;
if (given) await contract(endpointAt(given, await kindOf(given)));
else test("the contract on a given endpoint", { skip: "AWS_ENDPOINT_URL names no endpoint" }, () => {});
