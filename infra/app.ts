import { App } from "aws-cdk-lib";
import { describe, InvalidInput } from "../protocol/errors.ts";
import { assemble } from "./assemble.ts";

/** The program that `cdk` runs. The account and region are those of the credentials that deploy. */
try {
  assemble(new App());
} catch (error) {
  if (!(error instanceof InvalidInput)) throw error;
  console.error(describe(error));
  process.exit(1);
}
