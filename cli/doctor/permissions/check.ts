import { randomBytes } from "node:crypto";
import { commandFor } from "../../targets/address.ts";
import type { StackTarget } from "../../targets/target.ts";
import type { Finding } from "../finding.ts";
import { closeClients, openClients } from "./clients.ts";
import type { Probe } from "./probe.ts";
import { permissionProbes } from "./probes.ts";
import { taskQueueOf } from "./queue-probes.ts";
import { type Verdict, verdictOn } from "./verdict.ts";

export type Answered = Pick<Probe, "action" | "resources"> & { readonly verdict: Verdict };

/** Tries everything that the stack's policy for submitters allows, without any effect. */
export async function checkPermissions({ stack, address }: StackTarget): Promise<Finding[]> {
  const clients = openClients(address.environment);
  try {
    const job = `doctor-${randomBytes(4).toString("hex")}`;
    const probes = permissionProbes({ stack, clients, job });
    const byService = Map.groupBy(probes, ({ action }) => action.split(":")[0]);
    const asked = (await Promise.all([...byService.values()].map(askInTurn))).flat();
    // Names in them are the trial's own.
    const named = (resource: string) => resource.replace(`${stack.bucket}/`, "").replaceAll(job, "*");
    const answered = asked.map((one) => ({ ...one, resources: one.resources.map(named) }));
    const cleanup = commandFor(address, "cleanup --yes");
    return [
      ...findingsOn(answered, stack.name),
      ...leftQueue(answered, taskQueueOf({ stack, job }), cleanup),
    ];
  } finally {
    closeClients(clients);
  }
}

async function askInTurn(probes: readonly Probe[]): Promise<Answered[]> {
  const answered: Answered[] = [];
  for (const probe of probes) {
    const [answer] = await Promise.allSettled([probe.ask()]);
    answered.push({ ...probe, verdict: verdictOn(probe, answer) });
  }
  return answered;
}

/** Returns a line for all permissions, one for each action that is missing, and one for those that are not known. */
export function findingsOn(answered: readonly Answered[], stack: string): Finding[] {
  const actions = Map.groupBy(answered, ({ action }) => action);
  const missing = [...actions].flatMap(([action, all]) => missingLine(action, all));
  const unknown = unknownLines([...actions.values()].filter((all) => !all.some(isDenied)).flat());
  const allowed = [...actions.values()].filter((all) =>
    all.every(({ verdict }) => verdict.kind === "allowed"),
  );
  const found = `${allowed.length} of ${actions.size} that submitting takes`;
  const fix = `attach the policy SubmitterPolicyArn of ${stack}-ParameterServer (an output of that CloudFormation stack)`;
  const grade = missing.length > 0 ? "bad" : unknown.length > 0 ? "poor" : "good";
  return [{ grade, what: "permissions", found, ...(grade === "bad" && { fix }) }, ...missing, ...unknown];
}

const isDenied = ({ verdict }: Answered): boolean => verdict.kind === "denied";

function missingLine(action: string, answered: readonly Answered[]): Finding[] {
  const denied = answered.filter(isDenied);
  if (denied.length === 0) return [];
  const explicitly = denied.some(({ verdict }) => verdict.kind === "denied" && verdict.explicitly);
  const how = explicitly ? ": a policy denies it explicitly, and has to be changed" : "";
  const on = denied.flatMap(({ resources }) => resources).join(", ");
  return [{ grade: "bad", what: "permission", found: `${action} is missing on ${on}${how}` }];
}

/** One failure may hide several permissions, as when no queue can be made to try them on. */
function unknownLines(answered: readonly Answered[]): Finding[] {
  const unknown = answered.flatMap(({ action, verdict }) =>
    verdict.kind === "unknown" ? [{ action, why: verdict.why }] : [],
  );
  const byError = Map.groupBy(unknown, ({ why }) => why.split(":")[0]);
  return [...byError.values()].map((alike) => {
    const actions = [...new Set(alike.map(({ action }) => action))].join(", ");
    return { grade: "poor", what: "permission", found: `could not check ${actions}: ${alike[0]?.why}` };
  });
}

/** Returns a line about the queue that stays when the caller may create it but not delete it. */
export function leftQueue(answered: readonly Answered[], queue: string, cleanup: string): Finding[] {
  const isAllowed = (wanted: string) =>
    answered.some(({ action, verdict }) => action === wanted && verdict.kind === "allowed");
  if (!isAllowed("sqs:CreateQueue") || isAllowed("sqs:DeleteQueue")) return [];
  const found = `${queue}, made to try permissions on, could not be deleted`;
  return [{ grade: "poor", what: "queue", found, fix: `${cleanup}, with the permission` }];
}
