/**
 * The order and the moment in which the bytes of one connection leave.
 *
 * What is put goes into a batch, and a batch is one write. It leaves when its delay is over and everything before it has
 * left, so latency delays without serialising. Writes may be cut off after so many bytes.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type * as Socket from "effect/socket/Socket"

/** What a connection needs in order to write. */
export interface Output {
  readonly writer: Socket.Writer
  /** Runs an effect in the background for as long as the connection lives. */
  readonly fork: (effect: Effect.Effect<void, Socket.SocketError>) => void
}

interface Batch {
  readonly frames: ReadonlyArray<Uint8Array>
  due: boolean
}

const isNonEmpty = <A>(items: ReadonlyArray<A>): items is readonly [A, ...Array<A>] => items.length > 0

/** The frames that have not left. */
export class Outbox {
  /** Whether a write has begun that the client has not taken: it goes on, or was interrupted. */
  isWriting = false
  private readonly output: Output
  /** Frames of the batch that is being made, and the batches that wait to leave. */
  private open: Array<Uint8Array> = []
  private readonly batches: Array<Batch> = []
  private readonly writing = Semaphore.makeUnsafe(1)
  /** Bytes that may still be written, and what happens when they are. */
  private allowance: number
  private readonly onExhausted: () => void
  /** Writes what is due; the connection's own, which may have more to do then. */
  private readonly onDue: Effect.Effect<void, Socket.SocketError>

  constructor(
    output: Output,
    allowance: number,
    onExhausted: () => void,
    onDue: Effect.Effect<void, Socket.SocketError>
  ) {
    this.output = output
    this.allowance = allowance
    this.onExhausted = onExhausted
    this.onDue = onDue
  }

  /** Whether nothing waits for its delay. */
  get isEmpty(): boolean {
    return this.batches.length === 0
  }

  /** How many frames the batch has that is being made. */
  get length(): number {
    return this.open.length
  }

  put(frames: ReadonlyArray<Uint8Array>): void {
    this.open.push(...frames)
  }

  /** Takes the frames back that were put since it had so many. */
  takeBack(length: number): Array<Uint8Array> {
    return this.open.splice(length)
  }

  /** Ends the batch that is being made; it leaves after `delay` milliseconds. */
  seal(delay: number): void {
    if (this.open.length === 0) return
    const batch: Batch = { frames: this.open, due: delay === 0 }
    this.open = []
    this.batches.push(batch)
    if (batch.due) return
    const release = Effect.suspend(() => {
      batch.due = true
      return this.onDue
    })
    this.output.fork(Effect.delay(release, delay))
  }

  /** Writes what is due and has nothing before it. */
  flush(): Effect.Effect<void, Socket.SocketError> {
    const waiting = this.batches.findIndex(({ due }) => !due)
    const due = this.batches.splice(0, waiting === -1 ? this.batches.length : waiting)
    return this.write(due.flatMap(({ frames }) => frames))
  }

  private write(frames: ReadonlyArray<Uint8Array>): Effect.Effect<void, Socket.SocketError> {
    if (this.allowance === Infinity) return this.writeAll(frames)
    const allowed: Array<Uint8Array> = []
    for (const frame of frames) {
      const part = frame.subarray(0, this.allowance)
      this.allowance -= part.length
      if (part.length > 0) allowed.push(part)
    }
    const written = this.writeAll(allowed)
    return this.allowance > 0 ? written : Effect.andThen(written, Effect.sync(this.onExhausted))
  }

  /** One write at a time: each that waits for a slow reader listens on the socket, and batches can be many. */
  private writeAll(frames: ReadonlyArray<Uint8Array>): Effect.Effect<void, Socket.SocketError> {
    if (!isNonEmpty(frames)) return Effect.void
    return this.writing.withPermit(Effect.suspend(() => {
      this.isWriting = true
      return Effect.map(this.output.writer.writeAll(frames), () => {
        this.isWriting = false
      })
    }))
  }
}
