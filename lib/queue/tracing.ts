import type { Attributes, Context, SpanKind } from '@opentelemetry/api';
import type { Telemetry } from 'bullmq';
import { toPanamaxError } from '../errors.ts';
import { raceAbort } from '../runtime/abort.ts';

/** Environment variables of which one turns traces on (OpenTelemetry, "OTLP exporter configuration"). */
const ENDPOINTS = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'] as const;
/** Time for the last spans to be sent, in milliseconds. */
const LAST_SPANS = 5000;

interface Tracing {
  readonly telemetry: Telemetry;
  inSpan<Result>(name: string, attributes: Attributes, action: () => Promise<Result>): Promise<Result>;
  annotate(attributes: Attributes): void;
}

/** Like the tracer of OpenTelemetry, one for the process. */
let tracing: Tracing | undefined;

/**
 * Sends traces by OTLP over HTTP, if the environment names an endpoint. Jobs then carry the trace of the span that adds
 * them, so all work for a run is in the trace of its `enqueue`. A `TRACEPARENT` of the environment is the parent.
 *
 * @param onError takes errors of sending, of which the work takes no notice
 * @returns undefined if traces are off. Disposal sends the last spans.
 */
export async function startTracing(
  version: string,
  onError: (message: string) => void,
): Promise<AsyncDisposable | undefined> {
  const { env } = process;
  const isOff = env['OTEL_SDK_DISABLED'] === 'true' || env['OTEL_TRACES_EXPORTER'] === 'none';
  if (isOff || ENDPOINTS.every((name) => !env[name])) return undefined;
  // loaded only when they are used
  const [api, hooks, core, otlp, resources, sdk, { BullMQOtel }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/context-async-hooks'),
    import('@opentelemetry/core'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/sdk-trace'),
    import('bullmq-otel'),
  ]);
  const { SamplingDecision } = sdk;
  api.diag.setLogger(
    { error: onError, warn: onError, info() {}, debug() {}, verbose() {} },
    { logLevel: api.DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  // BullMQ begins a trace for each look into a queue; only enqueuing and jobs begin one here
  const root = {
    shouldSample: (_context: Context, _trace: string, name: string, kind: SpanKind) => ({
      decision:
        kind === api.SpanKind.CONSUMER || name.startsWith('panamax ')
          ? SamplingDecision.RECORD_AND_SAMPLED
          : SamplingDecision.NOT_RECORD,
    }),
  };
  const resource = resources
    .defaultResource()
    .merge(resources.resourceFromAttributes({ 'service.name': 'panamax', 'service.version': version }))
    .merge(
      resources.detectResources({
        detectors: [resources.resourceAttributesEnvDetector, resources.serviceNameEnvDetector],
      }),
    );
  const provider = new sdk.TracerProvider({
    resource,
    sampler: new sdk.ParentBasedSampler({ root }),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter: new otlp.OTLPTraceExporter() })],
  });
  const propagator = new core.W3CTraceContextPropagator();
  api.context.setGlobalContextManager(new hooks.AsyncLocalStorageContextManager().enable());
  api.propagation.setGlobalPropagator(propagator);
  api.trace.setGlobalTracerProvider(provider);
  const carrier = { traceparent: env['TRACEPARENT'], tracestate: env['TRACESTATE'] };
  const parent = api.propagation.extract(api.ROOT_CONTEXT, carrier);
  const tracer = provider.getTracer('panamax', version);
  const telemetry = new BullMQOtel({ tracerName: 'panamax', version });
  const { contextManager } = telemetry;
  const fromMetadata = contextManager.fromMetadata.bind(contextManager);
  contextManager.fromMetadata = (context, metadata) => {
    try {
      return fromMetadata(context, metadata);
    } catch {
      // anyone with access to Redis may have written it
      return context;
    }
  };
  tracing = {
    telemetry,
    inSpan: (name, attributes, action) =>
      tracer.startActiveSpan(name, { attributes }, parent, async (span) => {
        try {
          return await action();
        } catch (error) {
          span.setStatus({ code: api.SpanStatusCode.ERROR, message: (error as Error).message });
          throw error;
        } finally {
          span.end();
        }
      }),
    annotate: (attributes) => void api.trace.getActiveSpan()?.setAttributes(attributes),
  };
  return {
    async [Symbol.asyncDispose]() {
      tracing = undefined;
      const late = AbortSignal.timeout(LAST_SPANS);
      await raceAbort(provider.shutdown(), late).catch((error: unknown) => {
        onError(toPanamaxError(error).message);
      });
      api.trace.disable();
      api.context.disable();
      api.propagation.disable();
    },
  };
}

/** Options of BullMQ's queues and workers. */
export function tracedOptions(): { telemetry?: Telemetry } {
  return tracing ? { telemetry: tracing.telemetry } : {};
}

/** Runs an action in a span that begins a trace, if traces are on. */
export async function inSpan<Result>(
  name: `panamax ${string}`,
  attributes: Attributes,
  action: () => Promise<Result>,
): Promise<Result> {
  return tracing ? tracing.inSpan(name, attributes, action) : action();
}

/** Adds attributes to the span of the job under way, if traces are on. */
export function annotateSpan(attributes: Attributes): void {
  tracing?.annotate(attributes);
}
