/** S3 keys, SQS queue names and file names can all hold such a name. */
export const JOB_NAME = /^[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?$/;
export const JOB_NAME_RULE =
  "must be 1 to 50 lower-case letters, digits and dashes, with no dash at either end";
