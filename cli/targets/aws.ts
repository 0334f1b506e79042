import { clientConfig } from "../../cloud/connect.ts";
import { describe, PsError, Unrecoverable } from "../../protocol/errors.ts";
import type { Environment } from "./address.ts";
import { isUnreachable } from "./network.ts";

type Service = "SSM" | "BATCH" | "CLOUDWATCH_LOGS" | "STS" | "SERVICE_QUOTAS";

/** Returns the configuration of a client that only this machine uses. `AWS_ENDPOINT_URL_<service>` names its endpoint. */
export function serviceConfig(env: Environment, service: Service) {
  const endpoint = env[`AWS_ENDPOINT_URL_${service}`] || env.AWS_ENDPOINT_URL;
  return { ...clientConfig(env), ...(endpoint && { endpoint }) };
}

/** Patterns in the name or text of AWS's errors, and what to do about each. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [
    /could not load credentials|CredentialsProviderError|no credentials/i,
    "no AWS credentials were found; run `aws configure` or `aws sso login`, or name a --profile",
  ],
  [
    /region is missing|ConfigError.*region/i,
    "no AWS region is set; give --region, or set AWS_REGION or a region in your AWS profile",
  ],
  [
    /ExpiredToken|token .*expired|session .*expired/i,
    "the AWS credentials have expired; log in again, for instance with `aws sso login`",
  ],
  [
    /UnrecognizedClient|InvalidClientTokenId|InvalidSignature|SignatureDoesNotMatch|InvalidAccessKeyId/i,
    "AWS does not know these credentials; check the keys in the environment or the --profile",
  ],
  [
    /AccessDenied|UnauthorizedOperation|not authorized to perform/i,
    "these credentials may not do that; ask for the stack's policy for people who submit",
  ],
];

/** Returns an error that says what to do about an error of AWS; `error` itself when there is no advice. */
export function explained(error: unknown): unknown {
  if (error instanceof PsError) return error;
  const text = describe(error);
  const [, advice] = ADVICE.find(([pattern]) => pattern.test(text)) ?? [];
  if (advice !== undefined) return new Unrecoverable(`${advice} (${text})`, { cause: error });
  if (!isUnreachable(error)) return error;
  return new Unrecoverable(`AWS does not answer: ${text}; check the network, --region and --endpoint-url`, {
    cause: error,
  });
}

/** @throws `explained(error)` */
export function explainAws(error: unknown): never {
  throw explained(error);
}
