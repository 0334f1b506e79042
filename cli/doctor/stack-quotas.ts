import {
  GetServiceQuotaCommand,
  NoSuchResourceException,
  ServiceQuotasClient,
} from "@aws-sdk/client-service-quotas";
import { describe } from "../../protocol/errors.ts";
import type { Environment } from "../targets/address.ts";
import { explainAws, serviceConfig } from "../targets/aws.ts";
import { count } from "../terminal/format.ts";
import type { Finding } from "./finding.ts";

type Quota = { readonly ServiceCode: string; readonly QuotaCode: string };

/** In vCPUs: all instances of families g and vt that run at once. */
export const GPU_ON_DEMAND: Quota = { ServiceCode: "ec2", QuotaCode: "L-DB2E81BA" };
const GPU_SPOT: Quota = { ServiceCode: "ec2", QuotaCode: "L-3819A6DF" };
/** In executions of all functions of the account and region at once. */
const LAMBDA_CONCURRENCY: Quota = { ServiceCode: "lambda", QuotaCode: "L-B99A9384" };

/** Of the smallest instance with a GPU that workers run on. */
const MIN_VCPUS = 4;
/** AWS gives 1,000, and new accounts as few as 10. */
const FEW_EXECUTIONS = 100;

/** Checks that a GPU worker can get an instance: a Spot one, else an On-Demand one. */
export const checkGpuQuotas = (environment: Environment): Promise<Finding> =>
  withClient(environment, "GPU quota", async (client) => {
    const quotas = [await quotaOf(client, GPU_SPOT), await quotaOf(client, GPU_ON_DEMAND)];
    const [spot, onDemand] = quotas;
    const found = `${countOr(spot, "vCPUs")} of Spot, ${countOr(onDemand, "vCPUs")} of On-Demand G instances`;
    const enough = quotas.some((value) => value === null || value >= MIN_VCPUS);
    const fix = `raise "All G and VT Spot Instance Requests" to ${MIN_VCPUS} for each worker in the Service Quotas console, or set "device": "cpu"`;
    return enough ? { grade: "good", found } : { grade: "poor", found, fix };
  });

/** Checks that functions suffice: each shard of a running job takes one at every step. */
export const checkLambdaQuota = (environment: Environment): Promise<Finding> =>
  withClient(environment, "Lambda quota", async (client) => {
    const value = await quotaOf(client, LAMBDA_CONCURRENCY);
    const found = `${countOr(value, "functions")} at once`;
    if (value === null || value >= FEW_EXECUTIONS) return { grade: "good", found };
    const fix = `raise "Concurrent executions" of AWS Lambda in the Service Quotas console, or run few shards at once: each takes one`;
    return { grade: "poor", found, fix };
  });

/** Makes a check with a client. A quota that can't be read keeps no job from running. */
async function withClient(
  environment: Environment,
  what: string,
  check: (client: ServiceQuotasClient) => Promise<Omit<Finding, "what">>,
): Promise<Finding> {
  const client = new ServiceQuotasClient(serviceConfig(environment, "SERVICE_QUOTAS"));
  try {
    return { what, ...(await check(client).catch(explainAws)) };
  } catch (error) {
    return { grade: "poor", what, found: describe(error) };
  } finally {
    client.destroy();
  }
}

/** Returns null where AWS has the default and names no value. */
async function quotaOf(client: ServiceQuotasClient, quota: Quota): Promise<number | null> {
  try {
    return (await client.send(new GetServiceQuotaCommand(quota))).Quota?.Value ?? null;
  } catch (error) {
    if (error instanceof NoSuchResourceException) return null;
    throw error;
  }
}

const countOr = (value: number | null | undefined, what: string): string =>
  typeof value === "number" ? `${count(value)} ${what}` : `as many ${what} as AWS gives by default`;
