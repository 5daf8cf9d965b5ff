/**
 * The queue of requests.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { Fifo } from "../../src/internal/fifo.ts"

describe("Fifo", () => {
  it("gives elements back in the order they came, the first one without taking it too", () => {
    const fifo = new Fifo<string>()
    assert.isUndefined(fifo.peek())
    assert.isUndefined(fifo.shift())
    for (const item of ["a", "b", "c"]) fifo.push(item)
    assert.strictEqual(fifo.peek(), "a")
    assert.strictEqual(fifo.length, 3)
    assert.deepStrictEqual([fifo.shift(), fifo.shift(), fifo.shift(), fifo.shift()], ["a", "b", "c", undefined])
    assert.strictEqual(fifo.length, 0)
  })

  it("is walked and emptied from its head", () => {
    const fifo = new Fifo<number>()
    for (const item of [1, 2, 3]) fifo.push(item)
    fifo.shift()
    const seen: Array<number> = []
    fifo.forEach((item) => seen.push(item))
    assert.deepStrictEqual(seen, [2, 3])
    assert.isFalse(fifo.some((item) => item === 1))
    assert.isTrue(fifo.some((item) => item === 3))
    assert.deepStrictEqual(fifo.takeAll(), [2, 3])
    assert.strictEqual(fifo.length, 0)
    assert.deepStrictEqual(fifo.takeAll(), [])
    fifo.push(4)
    assert.strictEqual(fifo.shift(), 4)
  })

  const step = Arbitrary.schema(Schema.Union([
    Schema.Literals(["peek", "walk", "all"]),
    // Runs long enough for the dead elements at the front to be cut off, at 1,024 of them.
    Schema.Struct({ push: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 900 })) }),
    Schema.Struct({ shift: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 900 })) })
  ]))

  it.prop("does what an array does", [Arbitrary.array(step, { maxLength: 30 })], ([steps]) => {
    const fifo = new Fifo<number>()
    let model: Array<number> = []
    let next = 0
    for (const step of steps) {
      if (step === "peek") {
        assert.strictEqual(fifo.peek(), model[0])
      } else if (step === "walk") {
        const seen: Array<number> = []
        fifo.forEach((item) => seen.push(item))
        assert.deepStrictEqual(seen, model)
        const last = model.at(-1)
        assert.strictEqual(fifo.some((item) => item === last), model.length > 0)
      } else if (step === "all") {
        assert.deepStrictEqual(fifo.takeAll(), model)
        model = []
      } else if ("push" in step) {
        for (let i = 0; i < step.push; i++) {
          fifo.push(next)
          model.push(next++)
        }
      } else {
        for (let i = 0; i < step.shift; i++) assert.strictEqual(fifo.shift(), model[i])
        model = model.slice(step.shift)
      }
      assert.strictEqual(fifo.length, model.length)
    }
  })

  it("keeps its order when the dead elements at its front are cut off", () => {
    const fifo = new Fifo<number>()
    for (let i = 0; i < 5000; i++) fifo.push(i)
    for (let i = 0; i < 4999; i++) assert.strictEqual(fifo.shift(), i)
    fifo.push(5000)
    assert.strictEqual(fifo.length, 2)
    assert.deepStrictEqual(fifo.takeAll(), [4999, 5000])
  })
})
