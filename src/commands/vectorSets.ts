/**
 * Commands of vector sets: elements with vectors, found by how alike they are. Redis 8.0.
 *
 * @since 0.1.0
 */
import type { Arg } from "../Resp.ts"
import { type Command, double as scalar, flag, option, optional, read, write } from "./command.ts"
import {
  blob,
  blobs,
  boolean,
  double,
  doubles,
  integer,
  listOf,
  mismatch,
  record,
  recordOf,
  text,
  tuple
} from "./decode.ts"

/**
 * A vector: its numbers, or bytes of 32-bit floats, the low byte first.
 *
 * @category models
 * @since 0.1.0
 */
export type Vector = ReadonlyArray<number> | Uint8Array

const vectorWords = (vector: Vector): ReadonlyArray<Arg> =>
  vector instanceof Uint8Array ? ["FP32", vector] : ["VALUES", vector.length, ...vector.map(scalar)]

/**
 * How `vAdd` stores a vector.
 *
 * @category models
 * @since 0.1.0
 */
export interface VAddOptions {
  /** Projects it to so many dimensions. */
  readonly REDUCE?: number | undefined
  /** Looks for neighbours in the background. */
  readonly CAS?: boolean | undefined
  readonly QUANT?: "NOQUANT" | "BIN" | "Q8" | undefined
  /** How many candidates for neighbours are looked at: 200 by default. */
  readonly EF?: number | undefined
  /** What `FILTER` looks at, as JSON. */
  readonly SETATTR?: Readonly<Record<string, unknown>> | undefined
  /** How many neighbours a node has: 16 by default. */
  readonly M?: number | undefined
}

const json = (reply: unknown): unknown => {
  if (reply === null) return null
  try {
    return JSON.parse(text(reply)) as unknown
  } catch {
    return mismatch("JSON", reply)
  }
}

/**
 * Adds an element with its vector, or gives it another; whether it is new. O(log n).
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vAdd = (
  key: Arg,
  vector: Vector,
  element: Arg,
  { CAS, EF, M, QUANT, REDUCE, SETATTR }: VAddOptions = {}
): Command<boolean> =>
  write(
    [
      "VADD",
      key,
      ...option("REDUCE", REDUCE),
      ...vectorWords(vector),
      element,
      ...flag("CAS", CAS),
      ...optional(QUANT),
      ...option("EF", EF),
      ...option("SETATTR", SETATTR === undefined ? undefined : JSON.stringify(SETATTR)),
      ...option("M", M)
    ],
    boolean
  )

/**
 * How many elements there are.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vCard = (key: Arg): Command<number> => read(["VCARD", key], integer)

/**
 * How many dimensions its vectors have.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vDim = (key: Arg): Command<number> => read(["VDIM", key], integer)

const doublesOrNull = (reply: unknown): Array<number> | null => reply === null ? null : doubles(reply)

/**
 * The vector of an element, about as it was given; `null` without it.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vEmb = (key: Arg, element: Arg): Command<Array<number> | null> =>
  read(["VEMB", key, element], doublesOrNull)

/**
 * A vector as the server holds it.
 *
 * @category models
 * @since 0.1.0
 */
export interface RawVector {
  readonly quantization: "fp32" | "bin" | "int8"
  readonly raw: string
  readonly l2Norm: number
  /** Of `int8` alone. */
  readonly quantizationRange?: number
}

const rawVector = (reply: unknown): RawVector | null => {
  if (reply === null) return null
  const [quantization, raw, norm, range] = tuple(reply, 3)
  return {
    quantization: text(quantization) as RawVector["quantization"],
    raw: blob(raw),
    l2Norm: double(norm),
    ...(range === undefined ? {} : { quantizationRange: double(range) })
  }
}

/**
 * The vector of an element as the server holds it: read it with `bytes`, since it is no text.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vEmbRaw = (key: Arg, element: Arg): Command<RawVector | null> =>
  read(["VEMB", key, element, "RAW"], rawVector)

/**
 * What was set as the attributes of an element, of which nobody knows the type; `null` without.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vGetAttr = (key: Arg, element: Arg): Command<unknown> => read(["VGETATTR", key, element], json)

/**
 * A vector set.
 *
 * @category models
 * @since 0.1.0
 */
export interface VectorSetInfo {
  readonly "quant-type": string
  readonly "vector-dim": number
  readonly size: number
  readonly "max-level": number
  readonly "vset-uid": number
  readonly "hnsw-max-node-uid": number
}

/**
 * What is known about a vector set; `null` without it.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vInfo = (key: Arg): Command<VectorSetInfo | null> =>
  read(["VINFO", key], (reply) => reply === null ? null : record(reply) as unknown as VectorSetInfo)

/**
 * Whether there is an element.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vIsMember = (key: Arg, element: Arg): Command<boolean> => read(["VISMEMBER", key, element], boolean)

/**
 * The neighbours of an element, by level from the highest to the lowest; `null` without it.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vLinks = (key: Arg, element: Arg): Command<Array<Array<string>> | null> =>
  read(["VLINKS", key, element], (reply) => reply === null ? null : listOf(reply, blobs))

const scores = (reply: unknown): Record<string, number> => recordOf(reply, double)

/**
 * The same, with how alike they are, from 0 to 1.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vLinksWithScores = (key: Arg, element: Arg): Command<Array<Record<string, number>> | null> =>
  read(["VLINKS", key, element, "WITHSCORES"], (reply) => reply === null ? null : listOf(reply, scores))

/**
 * Any element, or with `count` an array of so many, repeated below zero; `null` without any.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vRandMember: {
  (key: Arg): Command<string | null>
  (key: Arg, count: number): Command<Array<string> | null>
} = (key: Arg, count?: number): Command<never> =>
  read(
    ["VRANDMEMBER", key, ...optional(count)],
    (reply) => (reply === null ? null : count === undefined ? blob(reply) : blobs(reply)) as never
  )

/**
 * Elements by their names, from one bound to another: `"[a"` with it, `"(a"` without it, `"-"`, `"+"`. Redis 8.4.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vRange = (key: Arg, start: Arg, end: Arg, count?: number): Command<Array<string>> =>
  read(["VRANGE", key, start, end, ...optional(count)], blobs)

/**
 * Removes an element; whether it was there. O(log n).
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vRem = (key: Arg, element: Arg): Command<boolean> => write(["VREM", key, element], boolean)

/**
 * Sets the attributes of an element as JSON, which `""` removes; whether the element is there.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vSetAttr = (
  key: Arg,
  element: Arg,
  attributes: Readonly<Record<string, unknown>> | string
): Command<boolean> =>
  write(
    ["VSETATTR", key, element, typeof attributes === "string" ? attributes : JSON.stringify(attributes)],
    boolean
  )

/**
 * What `vSim` finds, and how hard it tries.
 *
 * @category models
 * @since 0.1.0
 */
export interface VSimOptions {
  /** 10 by default. */
  readonly COUNT?: number | undefined
  /** Only what is at most so far away, from 0 to 1. */
  readonly EPSILON?: number | undefined
  readonly EF?: number | undefined
  /** An expression over the attributes, such as `.year > 1980`. */
  readonly FILTER?: string | undefined
  readonly "FILTER-EF"?: number | undefined
  /** Compares with all: exact, and O(n). */
  readonly TRUTH?: boolean | undefined
  readonly NOTHREAD?: boolean | undefined
}

const similarWords = (key: Arg, query: Vector | string, options: VSimOptions): ReadonlyArray<Arg> => [
  "VSIM",
  key,
  ...(typeof query === "string" ? ["ELE", query] : vectorWords(query)),
  ...option("COUNT", options.COUNT),
  ...option("EPSILON", options.EPSILON),
  ...option("EF", options.EF),
  ...option("FILTER", options.FILTER),
  ...option("FILTER-EF", options["FILTER-EF"]),
  ...flag("TRUTH", options.TRUTH),
  ...flag("NOTHREAD", options.NOTHREAD)
]

/**
 * The elements that are most like a vector, or like an element by its name. O(log n).
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vSim = (key: Arg, query: Vector | string, options: VSimOptions = {}): Command<Array<string>> =>
  read(similarWords(key, query, options), blobs)

/**
 * The same, with how alike they are, from 0 to 1.
 *
 * @category vectorSets
 * @since 0.1.0
 */
export const vSimWithScores = (
  key: Arg,
  query: Vector | string,
  options: VSimOptions = {}
): Command<Record<string, number>> => read([...similarWords(key, query, options), "WITHSCORES"], scores)
