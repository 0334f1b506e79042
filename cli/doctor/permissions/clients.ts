import { BatchClient } from "@aws-sdk/client-batch";
import { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import { S3Client } from "@aws-sdk/client-s3";
import { ServiceQuotasClient } from "@aws-sdk/client-service-quotas";
import { SQSClient } from "@aws-sdk/client-sqs";
import { SSMClient } from "@aws-sdk/client-ssm";
import { clientConfig } from "../../../cloud/connect.ts";
import type { Environment } from "../../targets/address.ts";
import { serviceConfig } from "../../targets/aws.ts";

/** One client for each service that submitting takes. */
export type Clients = ReturnType<typeof openClients>;

export const openClients = (env: Environment) => ({
  s3: new S3Client({ ...clientConfig(env), forcePathStyle: env.AWS_ENDPOINT_URL !== undefined }),
  sqs: new SQSClient(clientConfig(env)),
  batch: new BatchClient(serviceConfig(env, "BATCH")),
  ssm: new SSMClient(serviceConfig(env, "SSM")),
  logs: new CloudWatchLogsClient(serviceConfig(env, "CLOUDWATCH_LOGS")),
  quotas: new ServiceQuotasClient(serviceConfig(env, "SERVICE_QUOTAS")),
});

export function closeClients(clients: Clients): void {
  for (const client of Object.values(clients)) client.destroy();
}
