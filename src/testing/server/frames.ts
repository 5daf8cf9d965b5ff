/**
 * Cuts a server's byte stream into whole top-level RESP frames without decoding them, so that they can be relayed as
 * they are and something else can be put between two of them. It holds back the bytes of a frame until it is whole.
 * Streamed strings and aggregates, which no Redis server sends, are not understood.
 */

const LF = 10

/** Called with the bytes of one frame, in parts, and its type byte as text. */
export type OnFrame = (parts: ReadonlyArray<Uint8Array>, type: string) => void

/** An incremental cutter for one stream. */
export class FrameCutter {
  private readonly onFrame: OnFrame
  private parts: Array<Uint8Array> = []
  private type = ""
  /** Values still to come until the frame is whole. */
  private values = 1
  /** Bytes of a blob and its CRLF that are still to come. */
  private blob = 0
  /** The line under way: its type byte and what counts of the rest. */
  private line = ""

  constructor(onFrame: OnFrame) {
    this.onFrame = onFrame
  }

  push(chunk: Uint8Array): void {
    let start = 0
    let at = 0
    while (at < chunk.length) {
      if (this.blob > 0) {
        const taken = Math.min(this.blob, chunk.length - at)
        this.blob -= taken
        at += taken
      } else {
        const end = chunk.indexOf(LF, at)
        this.read(chunk.subarray(at, end < 0 ? chunk.length : end))
        at = end < 0 ? chunk.length : end + 1
        if (end >= 0) this.endLine()
      }
      if (this.values > 0 || this.blob > 0) continue
      this.parts.push(chunk.subarray(start, at))
      start = at
      const { parts, type } = this
      this.parts = []
      this.type = ""
      this.values = 1
      this.onFrame(parts, type)
    }
    if (start < at) this.parts.push(chunk.subarray(start, at))
  }

  private read(bytes: Uint8Array): void {
    // A length has 20 digits at most; of longer lines only the type matters.
    const room = 24 - this.line.length
    if (room > 0) this.line += String.fromCharCode(...bytes.subarray(0, room))
  }

  private endLine(): void {
    const type = this.line[0]
    const length = Math.max(Number.parseInt(this.line.slice(1), 10), -1)
    if (this.type === "") this.type = type
    this.line = ""
    this.values--
    switch (type) {
      case "$":
      case "=":
      case "!":
        if (length >= 0) this.blob = length + 2
        break
      case "*":
      case "~":
      case ">":
        this.values += Math.max(length, 0)
        break
      case "%":
        this.values += 2 * length
        break
      case "|":
        // The value that the attributes belong to follows them.
        this.values += 2 * length + 1
        break
    }
  }
}
