import { StringParameter } from "aws-cdk-lib/aws-ssm";
import { Construct } from "constructs";
import { names } from "./names.ts";

/** The SSM parameters of a stack, `/serverless-ps/NAME/<key>`, by which ps-submit finds its parts. */
export class Discovery extends Construct {
  constructor(scope: Construct, name: string, values: Readonly<Record<string, string>>) {
    super(scope, "Discovery");
    for (const [key, stringValue] of Object.entries(values)) {
      new StringParameter(this, key, { parameterName: `${names.folder(name)}/${key}`, stringValue });
    }
  }
}
