/**
 * The system of one process: its trees, its homes, and the service through which actors are reached.
 *
 * All of it is plain code over a `Host`; Effect appears where people wait. With a virtual host, a bus in memory and
 * an imitated performer the same code runs a whole cluster in one thread.
 */
import { Context, Deferred, Effect, Layer, type Schema } from "effect"
import { type Address, isToken, showAddress } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import { findChild } from "#runtime/by-hand.ts"
import { type CellWorld, describeError } from "#runtime/cell.ts"
import { type Absence, NotUnderstood } from "#runtime/errors.ts"
import { type Host, runApart } from "#runtime/host.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { Fresh } from "#runtime/ids.ts"
import { systemAddress } from "#runtime/inspect.ts"
import type { Lookout } from "#runtime/lookout.ts"
import { actorMetrics } from "#runtime/metrics.ts"
import { type Family, openMetrics } from "#runtime/openmetrics.ts"
import { AnswerBy, CurrentCause, effectPerformer, type Performer } from "#runtime/performer.ts"
import { Post } from "#runtime/post.ts"
import type { FlightRecorder } from "#runtime/recorder.ts"
import type { Written } from "#runtime/recorder-file.ts"
import { Registry } from "#runtime/registry.ts"
import { describeEvent, type TreeEvent } from "#runtime/slots.ts"
import { isBrokenPipe, keepingOwner, type Performing, Strays } from "#runtime/strays.ts"
import type { SupervisorSpec } from "#runtime/supervisor.ts"
import { sysLane } from "#runtime/sys-lane.ts"
import {
  type ChildRef,
  type Order,
  type OrderOutcome,
  type RunningTree,
  System,
  type SystemService,
  TreeFailed,
  type TreeNode
} from "#runtime/system.ts"
import { type TraceOptions, type TraceRecord, TraceRing } from "#runtime/trace.ts"
import { timedOut } from "#runtime/transport/outcomes.ts"
import { type Subscription, Transport, type TransportService } from "#runtime/transport.ts"
import { Branch } from "#runtime/tree.ts"
import { Watches } from "#runtime/watches.ts"
import { type Decoded, decoderOf, type Outcome } from "#runtime/wire.ts"

export interface SystemOptions {
  readonly cluster: string
  readonly nodeId: string
  readonly host: Host
  readonly transport: TransportService
  /** Carries out actions in place of the definitions' own `perform`. */
  readonly performer?: Performer
  /** Hears of crashes and of supervisors that give up. */
  readonly report?: (event: TreeEvent) => void
  /** Called before every decision with its input; `message` is undefined at an actor's start. */
  readonly deciding?: (self: Address, message: unknown, now: number) => void
  /** Keeps what actors decide about. */
  readonly recorder?: FlightRecorder | undefined
  /** Writes a recording down when it is asked for on the sys lane. Throws when it cannot. */
  readonly dump?: ((lines: Iterable<string>) => Written) | undefined
  /** What the process tells monitoring beside the figures of its actors. */
  readonly families?: (() => ReadonlyArray<Family>) | undefined
  /** Is told what the thread is about, for the watchdog. */
  readonly lookout?: Lookout | undefined
  /** Remembers which message led to which; absent, nothing is remembered. */
  readonly trace?: TraceOptions | undefined
}

/** A tree started without Effect. */
export interface TreeHandle {
  /** Stops it bottom to top; `stopped` is called once all of it is gone. Asked again, it only tells again. */
  readonly stop: (stopped?: () => void) => void
  readonly snapshot: () => TreeNode
}

export interface TreeOptions {
  readonly performer?: Performer
  /** Told when the top of the tree gives up, or ends with its significant children; by then all of it has stopped. */
  readonly ended?: (failure: TreeFailed | undefined) => void
}

/** A system as its owner sees it: the service, and the ways in for plain code. */
export interface LocalSystem extends SystemService {
  readonly startTree: (spec: SupervisorSpec, home: string, options?: TreeOptions) => TreeHandle
  /** `ask` for plain code: `done` is called once, in a later turn, unless what is returned is called before. */
  readonly askThen: (
    to: Address,
    message: unknown,
    withinMs: number,
    done: (outcome: Outcome) => void
  ) => () => void
  /** `stopChild` and its like for plain code: `done` is called once, now or when the child has come down. */
  readonly order: (child: ChildRef, order: Order, done: (outcome: OrderOutcome) => void) => void
  /**
   * Takes an error that reached nobody: the life that it comes from crashes, if that still goes on; any other error is
   * reported and counted. For `catchStrays`.
   */
  readonly stray: (error: unknown, owner: Performing | undefined) => void
  /** `askOnce` for plain code. */
  readonly askOnceThen: LocalSystem["askThen"]
  /** What `metrics` tells, before it is text. */
  readonly families: () => ReadonlyArray<Family>
  /** The newest traced messages to an address, oldest first. */
  readonly traced: (to: Address, limit: number) => ReadonlyArray<TraceRecord>
  /** Ends all subscriptions and watches. Trees are stopped by who started them, before. */
  readonly close: () => void
}

/** Starts a system that answers for its own node id. Trees are started in it; `close` ends it. */
export function makeSystem(options: SystemOptions): LocalSystem {
  const { cluster, nodeId, host, transport } = options
  assert(isToken(cluster) && isToken(nodeId), "cluster and node ids are tokens")
  const registry = new Registry()
  const homes = new Map<string, Home>()
  const owns = (home: string): boolean => homes.has(home)
  const trace = options.trace && new TraceRing(options.trace)
  // One member of a group does not know what another one has answered.
  const since = (home: string): number =>
    home === "manager" ? Number.POSITIVE_INFINITY : (homes.get(home)?.since ?? Number.POSITIVE_INFINITY)
  const post = new Post({ cluster, nodeId, host, transport, registry, owns, since, trace })
  const seeds = [host.random(), host.random(), host.random(), host.random()] as const
  const fresh = new Fresh(seeds.map((seed) => Math.floor(seed * 2 ** 32)) as [number, number, number, number])
  const branches = new Set<Branch>()
  const report = (event: TreeEvent): void => runApart(host, () => options.report?.(event))

  const watches = new Watches({
    host,
    nodeId,
    registry,
    ask: (target, message, withinMs, done) => post.call(target, "sys", message, withinMs, done),
    tell: (target, message) => post.send(target, "sys", message),
    tellNode: (node, message) => post.send(systemAddress(node), "sys", message)
  })

  const cellWorld = (performer: Performer): CellWorld => {
    const { deciding } = options
    return {
      host,
      performer,
      carry: (action, cell, letter) => post.carry(action, cell, letter),
      watch: (target, told) => watch(target, told).unwatch,
      lost: (cell, letter, reason) => post.lost(cell, letter, reason),
      abandoned: (cell, reason) => post.asks.abandon(cell, reason),
      awaits: (asker) => post.asks.has(asker),
      deciding: deciding && ((cell, letter, now) => deciding(cell.self, letter?.message, now)),
      observer: options.recorder,
      lookout: options.lookout,
      stats: (kind) => post.telemetry.kind(kind),
      ownCause: (cell, message, cause, at) => post.causeOf(cause, cell.self, cell.self, message, at)
    }
  }

  const startTree: LocalSystem["startTree"] = (spec, home, treeOptions = {}) => {
    assert(isToken(home), "a home is a token")
    const performer = treeOptions.performer ?? options.performer ?? effectPerformer(Context.empty())
    const world = {
      home,
      cell: cellWorld(performer),
      registry,
      fresh: fresh.fork(),
      report
    }
    const waiting: Array<() => void> = []
    let phase: "running" | "stopping" | "gone" = "running"
    const gone = (reason: string): void => {
      phase = "gone"
      branch.release(reason)
      branches.delete(branch)
      for (const stopped of waiting.splice(0)) stopped()
    }
    const branch: Branch = new Branch(world, spec, "permanent", {
      started: () => {},
      ended: () => {
        gone("its tree ended")
        treeOptions.ended?.(undefined)
      },
      crashed: (error) => {
        const failure =
          error instanceof TreeFailed ? error : new TreeFailed(`${spec.name} failed`, { cause: error })
        gone(`its tree failed: ${describeError(failure)}`)
        treeOptions.ended?.(failure)
      }
    })
    branches.add(branch)
    branch.start()
    return {
      stop: (stopped = () => {}) => {
        if (phase === "gone") return stopped()
        waiting.push(stopped)
        if (phase === "stopping") return
        phase = "stopping"
        branch.stop(() => gone("its tree was stopped"))
      },
      snapshot: () => branch.snapshot()
    }
  }

  const claim: LocalSystem["claim"] = (home, claimOptions = {}) => {
    assert(isToken(home), "a home is a token")
    if (home === "leader" && claimOptions.term !== undefined) post.lead(claimOptions.term)
    const known = homes.get(home)
    if (known) known.claims++
    else homes.set(home, { claims: 1, since: host.monotonic(), subscriptions: subscribeHome(home) })
    let held = true
    return {
      release: () => {
        const entry = homes.get(home)
        if (!held || !entry) return
        held = false
        entry.claims--
        if (entry.claims > 0) return
        homes.delete(home)
        for (const subscription of entry.subscriptions) subscription.unsubscribe()
      }
    }
  }

  const subscribeHome = (home: string): ReadonlyArray<Subscription> => {
    // Any manager may answer for `manager`; a node and the leader answer for themselves.
    const queue = home === "manager" ? { queue: "manager" } : {}
    const pattern = (lane: string): string => `troupe.v1.${cluster}.${home}.*.*.${lane}`
    return [
      transport.subscribe(pattern("in"), queue, (delivery) => post.receive(delivery)),
      transport.subscribe(pattern("sys"), queue, onSys)
    ]
  }

  const trees = (): ReadonlyArray<TreeNode> => [...branches].map((branch) => branch.snapshot())

  const order: LocalSystem["order"] = (child, what, done) => {
    const found = findChild(branches, child)
    const outcome = found ? found.order(what, () => done("done")) : "not-found"
    if (outcome) done(outcome)
  }
  const ordered =
    (what: Order) =>
    (child: ChildRef): Effect.Effect<OrderOutcome> =>
      Effect.callback((resume) => order(child, what, (outcome) => resume(Effect.succeed(outcome))))

  const restart = (child: ChildRef): boolean => {
    let done = false
    order(child, "restart", (outcome) => {
      done = outcome === "done"
    })
    return done
  }

  const strays = new Strays()
  const stray: LocalSystem["stray"] = (error, owner) => {
    const cell = owner && registry.find(owner.self)
    if (cell?.status === "running" && cell.life === owner?.life) {
      cell.crashSoon(error)
      return
    }
    const name = owner && showAddress(owner.self)
    strays.add(name === undefined ? describeError(error) : `${name}: ${describeError(error)}`)
    if (!isBrokenPipe(error)) report({ _tag: "Stray", name, error })
  }

  const families = (): ReadonlyArray<Family> => [
    ...actorMetrics({
      telemetry: post.telemetry,
      registry,
      deadLetters: post.deadLetters.report(),
      strays: strays.report().count,
      now: host.now()
    }),
    ...(options.families?.() ?? [])
  ]
  const metrics = (): string => openMetrics(families())

  const { recorder, dump } = options
  const onSys = sysLane({
    nodeId,
    post,
    registry,
    transport,
    watches,
    trees: () => trees(),
    order,
    metrics,
    now: () => host.now(),
    trace,
    recorder,
    dump: recorder && dump && (() => ({ ...dump(recorder.lines(host.now())), records: recorder.size }))
  })

  const watch: LocalSystem["watch"] = (target, told) => {
    let open = true
    const tellOnce = (reason: string): void => {
      // Out of whatever ended the actor: the watcher may do anything, also to the tree that just changed.
      host.defer(() => {
        if (!open) return
        open = false
        told(reason)
      })
    }
    if (registry.watch(target, tellOnce)) {
      return {
        unwatch: () => {
          open = false
          registry.unwatch(target, tellOnce)
        }
      }
    }
    if (owns(target.home)) tellOnce(`${showAddress(target)} is not there`)
    const unwatchRemote = owns(target.home) ? () => {} : watches.watch(target, tellOnce)
    return {
      unwatch: () => {
        open = false
        unwatchRemote()
      }
    }
  }

  const run = Effect.fnUntraced(function* (spec: SupervisorSpec, home: string) {
    const context = yield* Effect.context<never>()
    const ended = yield* Deferred.make<void, TreeFailed>()
    const handle = startTree(spec, home, {
      performer: options.performer ?? effectPerformer(context),
      ended: (failure) => Deferred.doneUnsafe(ended, failure ? Effect.fail(failure) : Effect.void)
    })
    const stop = Effect.callback<void>((resume) => handle.stop(() => resume(Effect.void)))
    yield* Effect.addFinalizer(() => stop)
    const running: RunningTree = { ended: Deferred.await(ended), stop }
    return running
  })

  type Way = "ask" | "askOnce"
  const askBy = <Answer>(
    way: Way,
    to: Address,
    message: unknown,
    withinMs: number,
    answers: Schema.Codec<Answer, unknown> | undefined
  ): Effect.Effect<Answer, Absence> =>
    Effect.flatMap(Effect.all([CurrentCause, AnswerBy]), ([cause, answerBy]) =>
      Effect.callback<Answer, Absence>((answer) => {
        const resume = keepingOwner(answer)
        const leftMs = Math.min(withinMs, answerBy - host.now())
        if (leftMs <= 0) return resume(Effect.fail(timedOut(showAddress(to), 0)))
        // What an actor of this process answers is typed already.
        const decode = answers && !registry.find(to) ? decoderOf(answers) : undefined
        const heard = (outcome: Outcome): void => {
          const read = outcome._tag === "Answer" && decode ? readAnswer(to, decode(outcome.value)) : outcome
          resume(read._tag === "Answer" ? Effect.succeed(read.value as Answer) : Effect.fail(read))
        }
        const takeBack = post[way](to, message, leftMs, heard, cause)
        return Effect.sync(takeBack)
      })
    )

  const own = claim(nodeId)
  const status = transport.onStatus((change) => {
    if (change._tag === "Connected") watches.hasten()
  })

  return {
    cluster,
    nodeId,
    claim,
    tell: (to, message) => post.tell(to, message),
    ask: (to, message, withinMs, answers) => askBy("ask", to, message, withinMs, answers),
    askOnce: (to, message, withinMs, answers) => askBy("askOnce", to, message, withinMs, answers),
    askOnceThen: (to, message, withinMs, done) => post.askOnce(to, message, withinMs, done),
    askThen: (to, message, withinMs, done) => post.ask(to, message, withinMs, done),
    watch,
    run,
    startTree,
    trees,
    inspectChild: (child) => findChild(branches, child)?.snapshot(),
    restart,
    stopChild: ordered("stop"),
    startChild: ordered("start"),
    deleteChild: ordered("delete"),
    order,
    stray,
    strays: () => strays.report(),
    deadLetters: () => post.deadLetters.report(),
    metrics,
    families,
    traced: (to, limit) => trace?.newest(to, limit) ?? [],
    close: () => {
      status.unsubscribe()
      watches.close()
      own.release()
      for (const { subscriptions } of homes.values()) {
        for (const subscription of subscriptions) subscription.unsubscribe()
      }
      homes.clear()
    }
  }
}

function readAnswer(to: Address, decoded: Decoded): Outcome {
  if (decoded.ok) return { _tag: "Answer", value: decoded.message }
  const address = showAddress(to)
  return new NotUnderstood({ address, message: `Cannot read the answer of ${address}: ${decoded.problem}` })
}

interface Home {
  claims: number
  /** On the host's monotonic clock. */
  readonly since: number
  readonly subscriptions: ReadonlyArray<Subscription>
}

/** The system of this process over the transport that is provided; crashes are logged as they happen. */
export const systemLayer = (options: {
  readonly cluster: string
  readonly nodeId: string
}): Layer.Layer<System, never, Transport> =>
  Layer.effect(
    System,
    Effect.gen(function* () {
      const transport = yield* Transport
      const log = Effect.runForkWith(yield* Effect.context<never>())
      const host = makeLiveHost()
      const report = (event: TreeEvent): void => {
        log(logEvent(event))
      }
      const system = makeSystem({ ...options, host, transport, report })
      yield* Effect.addFinalizer(() => Effect.sync(() => system.close()))
      return system
    })
  )

/** A tree's event as one log line. */
const logEvent = (event: TreeEvent): Effect.Effect<void> =>
  event._tag === "Crashed" ? Effect.logWarning(describeEvent(event)) : Effect.logError(describeEvent(event))
