import { type App, Tags, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { ParameterServer } from "./parameter-server.ts";
import { readSettings } from "./settings.ts";

/** Both stacks of one NAME, checked against AWS's rules for good solutions: a finding fails the synthesis. */
export function assemble(app: App): void {
  const settings = readSettings(app);
  new ParameterServer(app, settings);
  Tags.of(app).add("serverless-ps", settings.name);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
}
