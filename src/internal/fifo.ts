/**
 * A first-in first-out queue that is cheap at both ends and can be walked.
 *
 * `Array.prototype.shift` moves every element; this keeps a head index instead and gives the room back in one cut.
 */

/**
 * How many dead elements at the front are worth a copy of the live ones. Twice as many dead as live keeps the copying
 * at less than one move for each element that ever passed through.
 */
const compactAt = 1024

/** @internal */
export class Fifo<A> {
  private items: Array<A> = []
  private head = 0

  get length(): number {
    return this.items.length - this.head
  }

  push(item: A): void {
    this.items.push(item)
  }

  peek(): A | undefined {
    return this.items[this.head]
  }

  /** The one behind the first. */
  second(): A | undefined {
    return this.items[this.head + 1]
  }

  shift(): A | undefined {
    if (this.head === this.items.length) return undefined
    const item = this.items[this.head]
    // The slot must not keep the request, its arguments and its fiber alive.
    this.items[this.head] = undefined as A
    this.head++
    if (this.head === this.items.length) {
      this.items.length = 0
      this.head = 0
    } else if (this.head >= compactAt && this.head * 3 >= this.items.length * 2) {
      this.items.splice(0, this.head)
      this.head = 0
    }
    return item
  }

  forEach(f: (item: A) => void): void {
    for (let i = this.head; i < this.items.length; i++) f(this.items[i])
  }

  some(f: (item: A) => boolean): boolean {
    for (let i = this.head; i < this.items.length; i++) {
      if (f(this.items[i])) return true
    }
    return false
  }

  takeAll(): Array<A> {
    const all = this.head === 0 ? this.items : this.items.slice(this.head)
    this.items = []
    this.head = 0
    return all
  }
}
