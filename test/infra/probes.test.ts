import assert from "node:assert/strict";
import { test } from "node:test";
import { closeClients, openClients } from "../../cli/doctor/permissions/clients.ts";
import { permissionProbes } from "../../cli/doctor/permissions/probes.ts";
import { stackFrom } from "../../cli/targets/stack-parameters.ts";
import { names } from "../../infra/names.ts";
import { allows, ofType, statements, synthesize } from "./synthesize.ts";

/** `ps-submit doctor` asks for each permission of the submitter's policy, and for no other. */

const { parameterServer } = synthesize({ name: "lab" });
const [[, policy] = assert.fail()] = ofType(parameterServer, "AWS::IAM::ManagedPolicy");
const bucket = "lab-bucket";
const updates = "lab-updates.fifo";

/** A resource of the policy without what stands before the names: `arn:AWS::Partition:sqs:AWS::Region:AWS::AccountId:`. */
function nameIn(resource: string): string {
  const [[bucketId] = assert.fail()] = ofType(parameterServer, "AWS::S3::Bucket");
  return resource
    .replace(`${bucketId}.Arn`, bucket)
    .replace(/^UpdateQueuesUpdates\w*\.Arn$/, updates)
    .replace(/^arn:AWS::Partition:[\w-]+:AWS::Region:AWS::AccountId:/, "");
}

const granted = statements(policy.Properties.PolicyDocument).map(({ actions, resources }) => ({
  actions,
  resources: resources.map(nameIn),
}));

/** What deployment gives values to, and ps-submit finds the stack by. */
const probes = probesOf({
  bucket,
  "updates-url": `https://sqs.eu-west-1.amazonaws.com/123456789012/${updates}`,
  "queue-prefix": names.queuePrefix("lab"),
  "logs/updates": `${names.folder("lab")}/updates`,
  "logs/dead-letters": `${names.folder("lab")}/dead-letters`,
  "logs/watchdog": `${names.folder("lab")}/watchdog`,
  "logs/workers": `${names.folder("lab")}/workers`,
  ...workersOn("gpu"),
  ...workersOn("cpu"),
});

function workersOn(device: "gpu" | "cpu") {
  const name = names.workersOn("lab", device);
  return {
    [`job-queue/${device}`]: name,
    [`job-definition/${device}`]: `arn:aws:batch:eu-west-1:123456789012:job-definition/${name}:7`,
    [`image/${device}`]: "image",
  };
}

function probesOf(parameters: Readonly<Record<string, string>>) {
  const clients = openClients({
    AWS_REGION: "eu-west-1",
    AWS_ACCESS_KEY_ID: "x",
    AWS_SECRET_ACCESS_KEY: "x",
  });
  const stack = stackFrom("lab", new Map(Object.entries(parameters)));
  const made = permissionProbes({ stack, clients, job: "doctor-1" });
  closeClients(clients);
  return made;
}

test("every permission of the submitter's policy has a probe in the doctor", () => {
  for (const { actions, resources } of granted) {
    for (const action of actions) {
      for (const resource of resources) {
        const one = [{ actions: [action], resources: [resource] }];
        const isAsked = probes.some((probe) =>
          probe.resources.some((each) => allows(one, probe.action, each)),
        );
        assert.ok(isAsked, `${action} on ${resource} needs a probe in cli/doctor/permissions/probes.ts`);
      }
    }
  }
});

test("the doctor asks for nothing that the submitter's policy does not give", () => {
  for (const { action, resources } of probes) {
    for (const resource of resources)
      assert.ok(allows(granted, action, resource), `${action} on ${resource}`);
  }
});
