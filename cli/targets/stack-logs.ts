import {
  CloudWatchLogsClient,
  type FilteredLogEvent,
  FilterLogEventsCommand,
  GetLogEventsCommand,
  ResourceNotFoundException,
} from "@aws-sdk/client-cloudwatch-logs";
import { required } from "../../protocol/required.ts";
import type { Environment } from "./address.ts";
import { serviceConfig } from "./aws.ts";

/** Which lines of a log group. */
export type LogQuery = {
  readonly group: string;
  /** CloudWatch's filter pattern. */
  readonly pattern?: string | undefined;
  readonly streams?: readonly string[] | undefined;
  /** Milliseconds since 1970. */
  readonly since: number;
};

export type LogLine = {
  readonly id: string;
  readonly time: number;
  readonly stream: string;
  readonly text: string;
};

const TAIL_LINES = 5;

/** Reads what the processes of a stack wrote from CloudWatch Logs. A group or stream that is not there yet is empty. */
export class StackLogs {
  readonly #client: CloudWatchLogsClient;

  constructor(env: Environment) {
    this.#client = new CloudWatchLogsClient(serviceConfig(env, "CLOUDWATCH_LOGS"));
  }

  /** Returns the last lines of a stream, oldest first. */
  async tail(group: string, stream: string, limit = TAIL_LINES): Promise<string[]> {
    const command = new GetLogEventsCommand({
      logGroupName: group,
      logStreamName: stream,
      limit,
      startFromHead: false,
    });
    const answer = await unlessMissing(this.#client.send(command));
    return (answer?.events ?? []).map(({ message }) => required(message, TEXT).trimEnd());
  }

  /** Yields all lines that a query finds; those of each stream in the order in which they were written. */
  async *lines(query: LogQuery): AsyncGenerator<LogLine> {
    const { group, pattern, streams, since } = query;
    let nextToken: string | undefined;
    do {
      const command = new FilterLogEventsCommand({
        logGroupName: group,
        startTime: since,
        ...(pattern !== undefined && { filterPattern: pattern }),
        ...(streams !== undefined && { logStreamNames: [...streams] }),
        ...(nextToken !== undefined && { nextToken }),
      });
      const page = await unlessMissing(this.#client.send(command));
      // One stream that is not there makes CloudWatch refuse the whole query.
      if (page === null && streams !== undefined && streams.length > 1) {
        for (const stream of streams) yield* this.lines({ ...query, streams: [stream] });
      }
      for (const event of page?.events ?? []) yield lineOf(event);
      nextToken = page?.nextToken;
    } while (nextToken !== undefined);
  }

  close(): void {
    this.#client.destroy();
  }
}

const TEXT = "the text of a log event";

function lineOf({ eventId, timestamp, logStreamName, message }: FilteredLogEvent): LogLine {
  return {
    id: required(eventId, "the id of a log event"),
    time: required(timestamp, "the time of a log event"),
    stream: required(logStreamName, "the stream of a log event"),
    text: required(message, TEXT).trimEnd(),
  };
}

async function unlessMissing<T>(request: Promise<T>): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return null;
    throw error;
  }
}
