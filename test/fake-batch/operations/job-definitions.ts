import type {
  DescribeJobDefinitionsRequest,
  DescribeJobDefinitionsResponse,
  JobTimeout,
  KeyValuePair,
  RegisterJobDefinitionRequest,
  RegisterJobDefinitionResponse,
  ResourceRequirement,
} from "@aws-sdk/client-batch";
import { required } from "../../../protocol/required.ts";
import { BatchError, beyondTheFake } from "../errors.ts";
import type { FakeBatch } from "../fake-batch.ts";
import { arnOf, type Definition } from "../job.ts";
import { checkRetryStrategy } from "../retry.ts";

const MIN_TIMEOUT_SECONDS = 60;

/** Registers the next revision of a definition. */
export function registerJobDefinition(
  batch: FakeBatch,
  request: RegisterJobDefinitionRequest,
): RegisterJobDefinitionResponse {
  const { jobDefinitionName, type, containerProperties, retryStrategy = {}, timeout } = request;
  const name = required(jobDefinitionName, "jobDefinitionName");
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(name))
    throw new BatchError(`jobDefinitionName must be 1 to 128 letters, digits, - and _, got ${name}`);
  if (type !== "container" || !containerProperties)
    throw beyondTheFake("definitions but those of containers");
  checkRetryStrategy(retryStrategy);
  checkTimeout(timeout);
  const revisions = batch.definitions.get(name) ?? [];
  const revision = revisions.length + 1;
  const arn = arnOf("job-definition", `${name}:${revision}`);
  revisions.push({
    name,
    revision,
    arn,
    image: required(containerProperties.image, "image"),
    vcpus: vcpusOf(containerProperties.resourceRequirements ?? []),
    environment: environmentFrom(containerProperties.environment ?? []),
    retryStrategy,
    timeoutSeconds: timeout?.attemptDurationSeconds ?? null,
  });
  batch.definitions.set(name, revisions);
  return { jobDefinitionName: name, jobDefinitionArn: arn, revision };
}

/** Describes all revisions of a name, or single ones by `name:revision` or ARN. */
export function describeJobDefinitions(
  batch: FakeBatch,
  { jobDefinitionName, jobDefinitions }: DescribeJobDefinitionsRequest,
): DescribeJobDefinitionsResponse {
  const all = [...batch.definitions.values()].flat();
  const wantedOnes = all.filter(
    ({ name, revision, arn }) =>
      (jobDefinitionName === undefined || name === jobDefinitionName) &&
      (jobDefinitions === undefined ||
        jobDefinitions.some((wanted) => wanted === arn || wanted === `${name}:${revision}`)),
  );
  return { jobDefinitions: wantedOnes.map(describe) };
}

const describe = ({ name, arn, revision, image, retryStrategy }: Definition) => ({
  jobDefinitionName: name,
  jobDefinitionArn: arn,
  revision,
  status: "ACTIVE",
  type: "container",
  containerProperties: { image },
  retryStrategy,
});

/** By name (then the latest revision), `name:revision`, or ARN with or without a revision. */
export function findDefinition(batch: FakeBatch, wanted: string): Definition {
  const [name = "", revision] = wanted.replace(/^arn:.*:job-definition\//, "").split(":");
  const revisions = batch.definitions.get(name) ?? [];
  const definition = revision === undefined ? revisions.at(-1) : revisions[Number(revision) - 1];
  if (!definition) throw new BatchError(`JobDefinition ${wanted} not found`);
  return definition;
}

/** @throws BatchError for names that are reserved for Batch */
export function environmentFrom(pairs: readonly KeyValuePair[]): Record<string, string> {
  for (const { name } of pairs)
    if (name?.startsWith("AWS_BATCH"))
      throw new BatchError(`environment names that begin with AWS_BATCH are reserved, got ${name}`);
  return Object.fromEntries(
    pairs.map(({ name, value }) => [required(name, "name"), required(value, "value")]),
  );
}

export function checkTimeout(timeout: JobTimeout | undefined): void {
  const seconds = timeout?.attemptDurationSeconds ?? MIN_TIMEOUT_SECONDS;
  if (seconds < MIN_TIMEOUT_SECONDS)
    throw new BatchError(`attemptDurationSeconds must be at least ${MIN_TIMEOUT_SECONDS}, got ${seconds}`);
}

function vcpusOf(requirements: readonly ResourceRequirement[]): number {
  const value = requirements.find(({ type }) => type === "VCPU")?.value;
  if (value === undefined) throw new BatchError("containerProperties must require a VCPU");
  return Number(value);
}
