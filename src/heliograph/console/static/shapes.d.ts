/** What the service answers and the page keeps: for the checks of types only. */

interface ModelSummary { name: string; version: string; task: string; title: string; licence: string; state: string; problem?: string; plan?: Plan }
interface Plan { engine: string; precision: string; streams: number; threads_per_stream: number; max_batch: number }
interface ModelCard extends ModelSummary {
  description: string; homepage: string; labels: string[]; card: string;
  input: { width: number; height: number; channels: string; fit: string };
  accuracy: { metric: string; value: number; data: string }[];
}
interface Label { label: string; probability: number }
interface Phase { name: string; ms: number }
interface Trace { phases: Phase[]; worker: string }
type Answer = { kind: "labels"; labels: Label[]; trace: Trace } | { kind: "cutout"; picture: Blob; trace: Trace };
interface ProblemText { title: string; detail: string; code: string }

/** A picture on the page and how far it is. */
type PictureState = "waiting" | "asking" | "done" | "failed" | "cancelled";
interface Picture {
  id: number; file: File; name: string; model: ModelSummary; asJob: boolean; state: PictureState; note: string;
  /** Object URLs of small copies: null until they are made, "" where the browser cannot show the file. */
  before: string | null; after: string | null;
  size: [number, number] | null; answer: Answer | null; problem: ProblemText | null;
}

interface FleetWorker {
  name: string; state: string; host: string; pid: number | null; models: Record<string, string>; holding: number; finished: number;
  started_at: string | null; seen_at: string | null; reason: string | null;
}
interface FleetStatus { bounds: { min: number; max: number } | null; read_only: boolean; obstacle: string | null; workers: FleetWorker[] }
interface FleetAction { at: string; who: string; what: string; command: string; outcome: string; seconds?: number | null }
interface Job {
  id: string; group: string; name: string; model: string; state: string; priority: string; attempts: number; worker: string | null;
  accepted_at: string; started_at: string | null; finished_at: string | null; expired: boolean;
  timings_ms?: Record<string, number>; problem?: ProblemText & { status: number };
}
interface Receipt { group: string; jobs: { id: string; name: string }[]; refused: { name: string; problem: ProblemText }[] }
interface JobPage { jobs: Job[]; next?: string }

/** One moment of the charts. */
interface Numbers {
  at: string; waiting: number; running: number; accepted: number; finished: number; dead: number;
  workers: Record<string, number>; p95_seconds: number | null;
}
interface ServerEvent { name: string; id: string; data: any }
interface Caller { name: string; scopes: string[]; keysAsked: boolean }
