/** The names that are made of a stack's name; everything else gets a generated one. */
export const names = {
  parameterServer: (name: string) => `${name}-ParameterServer`,
  workers: (name: string) => `${name}-Workers`,
  /** The folder of the SSM parameters by which a stack is found, and of its log groups. */
  folder: (name: string) => `/serverless-ps/${name}`,
  /**
   * The prefix of the names of task queues and Batch jobs. Neither a stack's name nor a job's has an underscore, so stack
   * `a` with job `b-c` is not taken for stack `a-b` with job `c`.
   */
  queuePrefix: (name: string) => `${name}_`,
  /** The job queue and the job definition of the workers of a device. */
  workersOn: (name: string, device: "gpu" | "cpu") => `${name}-${device}`,
} as const;
