import { type App, Tags, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { ParameterServer } from "./parameter-server.ts";
import { readSettings } from "./settings.ts";
import { Workers } from "./workers.ts";

/** Makes both stacks of one NAME and checks them against AWS's rules for solutions: a finding fails the synthesis. */
export function assemble(app: App): { readonly parameterServer: ParameterServer; readonly workers: Workers } {
  const settings = readSettings(app);
  const parameterServer = new ParameterServer(app, settings);
  const workers = new Workers(app, settings);
  workers.addStackDependency(parameterServer, "the workers' stack reads the SSM parameters of the other");
  Tags.of(app).add("serverless-ps", settings.name);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return { parameterServer, workers };
}
