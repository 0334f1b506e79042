import { fileURLToPath } from "node:url";
import { type Duration, RemovalPolicy } from "aws-cdk-lib";
import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Architecture, Code, Function as Lambda, Runtime } from "aws-cdk-lib/aws-lambda";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { grant, type Permission } from "./grant.ts";

export type ServerFunctionProps = {
  /** The name of the bundle in `dist/lambda/`. */
  readonly bundle: "updates" | "dead-letters" | "watchdog";
  readonly description: string;
  readonly memoryMiB: number;
  readonly timeout: Duration;
  readonly environment: Readonly<Record<string, string>>;
  readonly logGroupName: string;
  /** Its permissions, besides writing its log. */
  readonly permissions: readonly Permission[];
};

/** A function of the parameter server, with a log and a role of its own. */
export class ServerFunction extends Construct {
  readonly lambda: Lambda;
  readonly logs: LogGroup;

  constructor(scope: Construct, id: string, props: ServerFunctionProps) {
    super(scope, id);
    this.logs = new LogGroup(this, "Logs", {
      logGroupName: props.logGroupName,
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new Role(this, "Role", { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
    this.logs.grantWrite(role);
    grant(role, props.permissions);
    this.lambda = new Lambda(this, "Lambda", {
      description: props.description,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      code: Code.fromAsset(fileURLToPath(new URL(`../dist/lambda/${props.bundle}`, import.meta.url))),
      handler: "index.handler",
      memorySize: props.memoryMiB,
      timeout: props.timeout,
      environment: props.environment,
      role,
      logGroup: this.logs,
    });
  }
}
