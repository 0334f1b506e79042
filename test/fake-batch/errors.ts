/** An error that AWS Batch answers with: ClientException, unless the fake lacks what was asked. */
export class BatchError extends Error {
  override readonly name = "BatchError";
  readonly type: string;
  readonly status: number;

  constructor(message: string, type = "ClientException", status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }
}

/** Answers a request for something that AWS Batch has and this fake lacks, since nothing here needs it. */
export const beyondTheFake = (what: string): BatchError =>
  new BatchError(`the fake AWS Batch has no ${what}`, "NotImplemented", 501);
