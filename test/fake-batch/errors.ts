/** An error that AWS Batch answers with: ClientException unless the fake itself is short of something. */
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

/** What AWS Batch can do and this fake cannot: nothing here asks for it. */
export const beyondTheFake = (what: string): BatchError =>
  new BatchError(`the fake AWS Batch has no ${what}`, "NotImplemented", 501);
